/** Peer answers: what a peer that is asked for bytes may say instead of giving them. */

/** It cannot give these bytes any more. */
export class BlobsGone extends Error {}

/** It serves too many now. */
export class PeerBusy extends Error {
  readonly retryAfterMs: number;
  constructor(retryAfterMs: number) {
    super('busy');
    this.retryAfterMs = retryAfterMs;
  }
}
