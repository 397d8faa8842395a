import test from 'ava';
import { generateKeyPair, signerFromSeed, verify } from '../../src/platform/ed25519.js';

const MESSAGE = Buffer.from('copies: 2');

test('a seed gives the public key and the signature of RFC 8032, test 2', t => {
  const signer = signerFromSeed(Buffer.from('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', 'hex'));
  t.is(
    Buffer.from(signer.publicKey).toString('hex'),
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  );
  t.is(
    Buffer.from(signer.sign(Buffer.of(0x72))).toString('hex'),
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  );
});

test('a signature counts for its key and message alone', t => {
  const { publicKey, seed } = generateKeyPair();
  const signature = signerFromSeed(seed).sign(MESSAGE);
  t.deepEqual(signerFromSeed(seed).publicKey, publicKey);
  t.true(verify(publicKey, MESSAGE, signature));
  t.false(verify(publicKey, Buffer.from('copies: 1'), signature));
  t.false(verify(generateKeyPair().publicKey, MESSAGE, signature));
});

test('malformed keys and signatures are refused without an exception', t => {
  const { publicKey, seed } = generateKeyPair();
  const signature = signerFromSeed(seed).sign(MESSAGE);
  t.false(verify(publicKey.subarray(1), MESSAGE, signature));
  t.false(verify(publicKey, MESSAGE, signature.subarray(1)));
  t.false(verify(new Uint8Array(32).fill(0xff), MESSAGE, signature));
  t.throws(() => signerFromSeed(seed.subarray(1)), { instanceOf: RangeError });
});
