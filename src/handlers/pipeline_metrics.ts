import type { CircuitState, GpuState, PoolState } from "../pipeline/mod.ts";
import type { Family, Sample } from "./prometheus.ts";

const CIRCUIT_STATES: readonly CircuitState[] = ["closed", "half_open", "open"];

/** Workers and queue; nothing where the pipeline runs in this thread. */
export function poolFamilies(pool: PoolState | undefined): Family[] {
  if (!pool) return [];
  return [
    one("mien_workers", "gauge", "Workers there should be.", pool.workers),
    one("mien_workers_ready", "gauge", "Workers that are warm.", pool.ready),
    one("mien_workers_busy", "gauge", "Workers at work.", pool.busy),
    one(
      "mien_workers_replaced_total",
      "counter",
      "Workers that were ended or died, and were replaced.",
      pool.replaced,
    ),
    one("mien_queue_length", "gauge", "Images that wait.", pool.waiting),
    one(
      "mien_queue_capacity",
      "gauge",
      "Images that may wait; past it the answer is 503.",
      pool.capacity,
    ),
    one(
      "mien_queue_rejected_total",
      "counter",
      "Images turned away because the queue was full.",
      pool.rejected,
    ),
  ];
}

/** The GPU route; nothing where there is none. Models are the manifest's, so they are few. */
export function gpuFamilies(gpu: GpuState | undefined): Family[] {
  if (!gpu) return [];
  const circuits = Object.entries(gpu.circuits);
  return [
    {
      name: "mien_gpu_requests_total",
      type: "counter",
      help: "Requests to the GPU server that ended, by outcome.",
      samples: by("outcome", gpu.outcomes),
    },
    one(
      "mien_gpu_faces_total",
      "counter",
      "Faces the GPU server answered.",
      gpu.faces,
    ),
    one(
      "mien_gpu_escalated_faces_total",
      "counter",
      "Faces it was asked for because the edge was in doubt.",
      gpu.escalated,
    ),
    {
      name: "mien_gpu_fallback_faces_total",
      type: "counter",
      help: "Faces it should have answered and did not, by reason.",
      samples: by("reason", gpu.fallbacks),
    },
    {
      name: "mien_gpu_circuit_state",
      type: "gauge",
      help:
        "1 for the state a model's circuit breaker is in, 0 for the others.",
      samples: circuits.flatMap(([model, circuit]) =>
        CIRCUIT_STATES.map((state) => ({
          labels: { model, state },
          value: Number(circuit.state === state),
        }))
      ),
    },
    {
      name: "mien_gpu_circuit_opened_total",
      type: "counter",
      help: "Times a model's circuit breaker has opened.",
      samples: circuits.map(([model, { opened }]) => ({
        labels: { model },
        value: opened,
      })),
    },
  ];
}

function one(
  name: string,
  type: "counter" | "gauge",
  help: string,
  value: number,
): Family {
  return { name, type, help, samples: [{ value }] };
}

function by(label: string, counts: Record<string, number>): Sample[] {
  return Object.entries(counts).map(([name, value]) => ({
    labels: { [label]: name },
    value,
  }));
}
