/** Peer answers: what a peer that is asked for bytes may answer instead of giving them. */

/** The peer cannot give these bytes any longer. */
export class BlobsGone extends Error {}

/** The peer serves too many fetchers now. */
export class PeerBusy extends Error {
  readonly retryAfterMs: number;
  constructor(retryAfterMs: number) {
    super('busy');
    this.retryAfterMs = retryAfterMs;
  }
}
