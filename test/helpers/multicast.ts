/** Whether a machine's multicast is received, if only by itself: mDNS cannot work without. */
import { createSocket } from 'node:dgram';

/** The multicast group of mDNS, with another port, so that no other program receives a question. */
const GROUP = '224.0.0.251';
/** Far above what it takes on a busy machine; only a system without multicast makes the test wait this long. In ms. */
const HEARD_WITHIN_MS = 5_000;

export function hasMulticast(): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createSocket('udp4');
    const end = (heard: boolean): void => {
      clearTimeout(limit);
      socket.close();
      resolve(heard);
    };
    const limit = setTimeout(() => end(false), HEARD_WITHIN_MS);
    socket.once('error', () => end(false));
    socket.once('message', () => end(true));
    socket.bind(0, () => {
      // Throws where there is no route to the group.
      try {
        socket.addMembership(GROUP);
        socket.send('heard?', socket.address().port, GROUP);
      } catch {
        end(false);
      }
    });
  });
}
