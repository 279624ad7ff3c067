import { Mien } from "@mien/mien/client";
import { useEffect, useState } from "react";

const mien = new Mien({
  endpoint: import.meta.env.VITE_MIEN ?? "http://127.0.0.1:8000",
});

/** The faces of a photo, or what went wrong; a new photo aborts the request before it. */
export function useMien(photo) {
  const [state, setState] = useState({});
  useEffect(() => {
    if (!photo) return;
    const abort = new AbortController();
    setState({ busy: true });
    mien.analyze(photo, { maxSide: 1280, signal: abort.signal }).then(
      ({ faces }) => setState({ faces }),
      (error) => abort.signal.aborted || setState({ error }),
    );
    return () => abort.abort();
  }, [photo]);
  return state;
}
