/**
 * State disk: where a host keeps what is in none of its stores: heads, the configuration, its notes, and what it has
 * read of others' logs. Like a store's disk it may be full, slow or failing. A refused write is as if it had never been
 * asked for, and the caller decides what follows, as in the daemon.
 */
export class StateDisk {
  failing = false;
  full = false;
  /** Each write takes this much longer, in ms. */
  slowMs = 0;

  get refuses(): boolean {
    return this.failing || this.full;
  }
}
