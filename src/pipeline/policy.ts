import type { Fallback } from "../types.ts";
import type { CircuitState } from "./circuit.ts";

/** What is known of a face. */
export interface KnownFace {
  /** Calibrated score of the label the edge gave it; absent before the edge has read it. */
  score?: number;
}

/** What the request and the models at hand allow. */
export interface RouteRequest {
  /** The request's option. */
  route: "auto" | "edge" | "gpu";
  /** Whether the model asked for runs here. */
  onEdge: boolean;
  /** Whether the GPU server has a model that can give all that was asked. */
  onGpu: boolean;
  /** Faces with a lower score are doubtful; 0 means none is. */
  escalateBelow: number;
  /** Milliseconds a GPU server may take, so that the edge can still answer in time. */
  budgetMs: number;
}

/** How server and edge are doing. */
export interface Health {
  /** Of the model that would be asked. */
  circuit: CircuitState;
  /** Share of the local queue in use, 0 to 1. */
  load: number;
}

/** Who reads a face, and why. */
export interface Decision {
  /** Who is to read it. */
  backend: "edge" | "gpu";
  /** Whether the edge's doubt is the reason. */
  escalated: boolean;
  /** Why a GPU server should have been asked and cannot be. */
  fallback: Fallback["reason"] | null;
}

/** Past this share of the queue, faces found here are read elsewhere. */
const BUSY = 0.5;
/** Milliseconds under which asking a GPU server is not worth the wait. */
const MIN_BUDGET_MS = 20;

/** Who is to read a face. Pure: everything it depends on is handed in. */
export function decide(
  face: KnownFace,
  request: RouteRequest,
  health: Health,
): Decision {
  const { route, onEdge, onGpu, escalateBelow, budgetMs } = request;
  const read = face.score !== undefined;
  const escalated = route === "auto" && read && face.score! < escalateBelow;
  const wanted = !read
    ? route === "gpu" || (route === "auto" && (!onEdge || health.load > BUSY))
    : escalated;
  if (route === "edge" || !wanted || !onGpu) {
    return { backend: "edge", escalated: false, fallback: null };
  }
  if (health.circuit === "open") {
    return { backend: "edge", escalated: false, fallback: "circuit_open" };
  }
  if (budgetMs < MIN_BUDGET_MS) {
    return { backend: "edge", escalated: false, fallback: "timeout" };
  }
  return { backend: "gpu", escalated, fallback: null };
}
