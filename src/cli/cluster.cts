#!/usr/bin/env node
/**
 * Cluster: where the command begins: with enough threads for disks that hang (platform/disk.ts), each of which can keep 4.
 *
 * libuv asks for their number before it makes the first, and Node makes it to load a module: so this is none, and loads the rest.
 */
// With 64, fifteen disks may hang at once. A thread that nobody needs takes some 10 KB.
process.env.UV_THREADPOOL_SIZE ??= '64';
void import('./main.js');
