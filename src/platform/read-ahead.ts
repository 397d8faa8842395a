/** Read ahead: opens the next few while the ones before are sent, and gives them in order. */
export async function* readAhead<Item, Opened>(
  items: Iterable<Item>,
  open: (item: Item) => Promise<Opened>,
  most: number,
): AsyncGenerator<Opened, void, undefined> {
  const opening: Promise<Opened>[] = [];
  const begin = (item: Item): void => {
    const one = open(item);
    // Its failure is for whoever comes to it; if nobody does, it is nobody's.
    one.catch(() => {});
    opening.push(one);
  };
  for (const item of items) {
    begin(item);
    if (opening.length === most) yield await (opening.shift() as Promise<Opened>);
  }
  for (const one of opening) yield await one;
}
