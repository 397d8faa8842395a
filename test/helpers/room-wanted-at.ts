import { sourceIdOf } from '../../src/core/ids.js';
import type { RoomWanted } from '../../src/core/room-wanted.js';
import type { SmallHost } from './small-world.js';

/** What a host says of the room for an origin's photos: a look to its end. `between`: done after each turn. */
export function roomWantedAt(
  host: SmallHost,
  origin: SmallHost,
  between: () => void = () => {},
): RoomWanted | undefined {
  const look = host.machine.known.roomWanted();
  for (;;) {
    const turn = look.next();
    if (turn.done === true) return turn.value.get(sourceIdOf(origin.id, 'photos'));
    between();
  }
}
