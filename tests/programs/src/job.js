const crypto = require('crypto');
const fs = require('fs');
const zlib = require('zlib');

async function main() {
  const big = Buffer.alloc(200000, 'kiln ');
  const packed = zlib.gzipSync(big);
  fs.writeFileSync('/tmp/data.gz', packed);
  const back = zlib.gunzipSync(fs.readFileSync('/tmp/data.gz'));
  await new Promise((resolve) => setTimeout(resolve, 5));
  const text = await fs.promises.readFile('/tmp/data.gz');
  const sum = crypto.createHash('sha256').update(back).digest('hex');
  const sorted = Array.from({length: 5000}, (_, i) => (i * 7919) % 5003).sort((a, b) => a - b);
  console.log('hello from node', back.equals(big), text.length === packed.length, sum.slice(0, 16), sorted[4999]);
  await Promise.all([1, 2, 3].map((n) => crypto.subtle.digest('SHA-1', Buffer.from(String(n)))));
  let deep = 0;
  try {
    (function again() { deep++; again(); })();
  } catch (error) {
    console.log(error instanceof RangeError, deep > 1000);
  }
}
main().catch((error) => { console.error(error); process.exit(1); });
