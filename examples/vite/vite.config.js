export default {
  base: "./",
  build: { target: "es2022" },
  // Both find their wasm beside their own code, which pre-bundling would move.
  optimizeDeps: { exclude: ["@mien/mien", "onnxruntime-web"] },
};
