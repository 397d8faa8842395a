/**
 * Read rate: the slowest disk that is planned for by everything that waits for a copy to be read.
 *
 * It is one number because these times must agree. A dropper gives up its attempt after the time for a read
 * (dropping.ts), its daemon waits that long for each holder's answer (grant-asker.ts), and an audit gives a holder the
 * same time (auditor.ts). If one of them assumed a faster disk than the others, it would give up on large parcels while
 * they are still being read, again and again.
 */

/** In bytes per ms: a slow disk that has other work too reads 20 MB/s. */
export const READ_BYTES_PER_MS = 20_000;
