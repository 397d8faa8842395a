/** Read ahead: opens the next few items while earlier ones are being sent, and gives them in order. */
export async function* readAhead<Item, Opened>(
  items: Iterable<Item>,
  open: (item: Item) => Promise<Opened>,
  most: number,
): AsyncGenerator<Opened, void, undefined> {
  const opening: Promise<Opened>[] = [];
  const begin = (item: Item): void => {
    const one = open(item);
    // Thrown when the consumer reaches this item; if none does, nobody needs to know.
    one.catch(() => {});
    opening.push(one);
  };
  for (const item of items) {
    begin(item);
    if (opening.length === most) yield await (opening.shift() as Promise<Opened>);
  }
  for (const one of opening) yield await one;
}
