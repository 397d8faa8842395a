/**
 * At process end: what must be undone when a test's process ends without its teardowns: at ava's own time limit, at an
 * interrupt, at a crash.
 */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

const undoing = new Set<() => void>();

/** `undo` must be synchronous, because nothing else runs any more. Returns a function that cancels it. */
export function atProcessEnd(undo: () => void): () => void {
  if (undoing.size === 0) {
    process.on('exit', undoAll);
    for (const signal of SIGNALS) process.on(signal, exit);
  }
  undoing.add(undo);
  return () => {
    undoing.delete(undo);
    if (undoing.size > 0) return;
    process.off('exit', undoAll);
    for (const signal of SIGNALS) process.off(signal, exit);
  };
}

/**
 * The last added is undone first: processes before the network that they run in. If one fails, the others still run.
 */
function undoAll(): void {
  for (const undo of [...undoing].reverse()) {
    try {
      undo();
    } catch (error) {
      process.stderr.write(
        `could not be undone at the process's end: ${error instanceof Error ? error.stack : error}\n`,
      );
    }
  }
}

function exit(): void {
  process.exit(1);
}
