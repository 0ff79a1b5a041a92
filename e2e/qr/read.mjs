// Reads the QR code in each PNG that is named and prints one line for each: its
// text, or nothing where jsQR finds none. jsQR is what the page uses on phones.
import fs from "node:fs";
import jsqr from "jsqr";
import { PNG } from "pngjs";

const scan = jsqr.default ?? jsqr;
for (const name of process.argv.slice(2)) {
  const png = PNG.sync.read(fs.readFileSync(name));
  const found = scan(new Uint8ClampedArray(png.data), png.width, png.height);
  console.log(found ? found.data : "");
}
