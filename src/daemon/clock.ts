/**
 * Clock: the time that the machine is told. It runs steadily from the wall clock at our start on, so that a jump of the
 * wall clock (a time server, a person) ages nothing and brings nothing back. It stands still while the computer sleeps.
 */
export interface Clock {
  /** Steady ms; at the start of the service the same as the wall clock. */
  nowMs(): number;
  /** Wall clock, ms since 1970: for what people read and what is signed. */
  wallMs(): number;
}

export function steadyClock(): Clock {
  const startMs = Date.now() - performance.now();
  return { nowMs: () => startMs + performance.now(), wallMs: () => Date.now() };
}
