/**
 * Frame bytes: the approximate size of a gossip message on the wire, with its envelope, signature and GossipSub's own
 * data.
 */
import type { GossipMessage } from '../src/core/messages.js';

/**
 * Signature, key, topic, sequence number, length prefixes, and the overhead of noise and yamux, for one copy, as
 * measured between real services (`bench:sim -- gossip`).
 */
const ENVELOPE_BYTES = 416;
const STORE_REPORT_BYTES = 96;
const OP_BYTES = 40;
const HEAD_HINT_BYTES = 100;
const CLAIM_BYTES = 40;
const FAILED_AUDIT_BYTES = 72;

export function frameBytes(message: GossipMessage): number {
  switch (message.kind) {
    case 'heartbeat':
      return ENVELOPE_BYTES + 48 + message.stores.length * STORE_REPORT_BYTES;
    case 'log':
      return ENVELOPE_BYTES + 160 + message.segment.ops.length * OP_BYTES;
    case 'heads':
      return ENVELOPE_BYTES + message.heads.length * HEAD_HINT_BYTES;
    case 'claims':
      return ENVELOPE_BYTES + 20 + message.claims.length * CLAIM_BYTES + message.withdrawn.length * 34;
    case 'failed-audits':
      return ENVELOPE_BYTES + message.failed.length * FAILED_AUDIT_BYTES;
    case 'config':
      return ENVELOPE_BYTES + 48 + message.admissions.length * 18;
    default:
      return message satisfies never;
  }
}
