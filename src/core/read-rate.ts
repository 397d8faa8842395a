/**
 * Read rate: how fast a disk reads a copy at least, as everybody reckons who waits for one to be read.
 *
 * It is one number, for these times must agree. A dropper gives up its attempt after the time for a read (dropping.ts), its daemon waits for
 * as long for each holder's answer (grant-asker.ts), and an audit gives a holder as much (auditor.ts). If one of them reckoned with a faster
 * disk than the others, large parcels would be called off while they are still being read, again and again.
 */

/** In bytes per ms: a slow disk that has other work too reads 20 MB/s. */
export const READ_BYTES_PER_MS = 20_000;
