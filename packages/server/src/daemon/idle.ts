/** Counts what keeps the daemon alive (connections, running sessions) and says when there has been nothing for long enough. */
export interface IdleWatch {
  /** Something began; call the result once when it has ended. */
  busy(): () => void;
  stop(): void;
}

/** Calls `onIdle` once, after `idleMs` without anything under way; 0: never. */
export function watchIdle(idleMs: number, onIdle: () => void): IdleWatch {
  let under = 0;
  let stopped = idleMs <= 0;
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    if (!stopped && under === 0) timer = setTimeout(onIdle, idleMs);
  };
  arm();
  return {
    busy() {
      under++;
      clearTimeout(timer);
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        under--;
        arm();
      };
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
