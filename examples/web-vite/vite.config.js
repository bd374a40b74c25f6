export default {
  // Works below any path of a server.
  base: './',
  // The development server would bundle the package ahead, and part it from its worker and its WebAssembly.
  optimizeDeps: { exclude: ['lapidary'] },
};
