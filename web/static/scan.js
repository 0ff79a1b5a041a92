// Reading a QR: from a photo, which works everywhere, or from the camera's
// picture as it moves, where the browser allows that (https, or this device).
import { say } from './words.js';

const photoSides = [1000, 1600, 600]; // px of the longer side, tried in turn
const liveSide = 720;
const pause = 120; // ms between two pictures of the camera
const longest = 500; // letters; a QR of ours has 76

let reader = null;
let missed = 0; // times that it did not come; browsers remember that of an address

async function decoder() {
  try {
    reader ??= (await import(`./vendor/jsqr.js${missed ? `?${missed}` : ''}`)).default;
  } catch {
    missed++;
    throw new Error('scan-away');
  }
  return reader;
}

// decode reads a QR out of a picture drawn to a canvas; '' where there is none.
function decode(jsQR, source, width, height, side, canvas = document.createElement('canvas')) {
  const scale = Math.min(1, side / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const c = canvas.getContext('2d', { willReadFrequently: true });
  c.drawImage(source, 0, 0, canvas.width, canvas.height);
  const { data } = c.getImageData(0, 0, canvas.width, canvas.height);
  return jsQR(data, canvas.width, canvas.height, { inversionAttempts: 'attemptBoth' })?.data ?? '';
}

// fromFile reads a photo.
export async function fromFile(file) {
  const jsQR = await decoder();
  const url = URL.createObjectURL(file);
  try {
    const img = new Image();
    img.src = url;
    await img.decode();
    for (const side of photoSides) {
      const text = decode(jsQR, img, img.naturalWidth, img.naturalHeight, side);
      if (text) return text;
    }
    return '';
  } finally {
    URL.revokeObjectURL(url);
  }
}

// begin serves a <form data-scan>.
export function begin(form) {
  const photo = form.querySelector('input[type=file]');
  const text = form.querySelector('textarea[name=text], input[name=text]');
  const find = (name) => form.querySelector(`[${name}]`) ?? document.querySelector(`[${name}]`);
  const button = find('data-scan-camera');
  const video = find('data-scan-video');
  const said = find('data-scan-said');
  const tell = (key, args) => {
    if (said) said.textContent = key ? say(key, args) : '';
  };

  const found = (result) => {
    if (result.length > longest) {
      tell('js.scan-foreign');
      return;
    }
    tell('js.scan-found');
    text.value = result;
    photo.value = '';
    form.requestSubmit();
  };

  photo?.addEventListener('change', async () => {
    const [file] = photo.files;
    if (!file) return;
    tell('js.scan-looking');
    try {
      const result = await fromFile(file);
      if (result) found(result);
      else tell('js.scan-nothing');
    } catch (err) {
      tell(err.message === 'scan-away' ? 'js.scan-away' : 'js.scan-unreadable');
    }
  });

  if (!button || !video || !globalThis.isSecureContext || !navigator.mediaDevices?.getUserMedia) return () => {};
  button.hidden = false;
  let stream = null;
  const stop = () => {
    stream?.getTracks().forEach((t) => t.stop());
    stream = null;
    video.hidden = true;
    video.srcObject = null;
    button.textContent = say('js.scan-camera');
  };
  button.addEventListener('click', async () => {
    if (stream) {
      stop();
      tell('');
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' }, audio: false });
    } catch (err) {
      tell(err.name === 'NotFoundError' ? 'js.scan-no-camera' : 'js.scan-denied');
      return;
    }
    const mine = stream;
    button.textContent = say('js.scan-stop');
    video.hidden = false;
    video.srcObject = stream;
    tell('js.scan-hold');
    let jsQR;
    try {
      jsQR = await decoder();
    } catch {
      stop();
      tell('js.scan-away');
      return;
    }
    await video.play();
    const canvas = document.createElement('canvas');
    while (stream === mine) {
      if (video.videoWidth > 0) {
        const result = decode(jsQR, video, video.videoWidth, video.videoHeight, liveSide, canvas);
        if (result) {
          stop();
          found(result);
          return;
        }
      }
      await new Promise((r) => setTimeout(r, pause));
    }
  });
  addEventListener('pagehide', stop);
  return stop;
}
