/**
 * State disk: where a host keeps what lies in none of its stores: heads, the configuration, what it noted, and what it has read of
 * others' logs. It may be full, slow or failing, as a store's disk; what it refuses is as if it had not been asked for, and who asked
 * says what follows, as in the daemon.
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
