/** Slash: what parts the names of a path that is bytes, for names of files need not be text. */
export const SLASH = 0x2f;
