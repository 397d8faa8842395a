/**
 * Descriptor path: a path that leads to what is open, whatever its name leads to by now. Linux's, where /proc is mounted.
 */
import { existsSync } from 'node:fs';

const DESCRIPTORS = '/proc/self/fd';

export const hasDescriptorPaths = (): boolean => process.platform === 'linux' && existsSync(DESCRIPTORS);

/** It is a symlink: of a folder, what is in it is reached below; the folder itself by calls that follow symlinks. */
export const descriptorPath = (descriptor: number): string => `${DESCRIPTORS}/${descriptor}`;
