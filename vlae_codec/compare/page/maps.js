/* Pictures made of pictures: the error, and where the bits go. Pixels in, pixels out; knows nothing of the page. */

const HEAT = [[12, 8, 38], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];
const HEAT_CSS = `linear-gradient(to right, ${HEAT.map((colour) => `rgb(${colour.join(" ")})`).join(", ")})`;

/** The colour [r, g, b] of a share, 0 to 1. */
function heat(share) {
  const place = Math.min(Math.max(share, 0), 1) * (HEAT.length - 1);
  const low = Math.min(Math.floor(place), HEAT.length - 2);
  return HEAT[low].map((value, i) => value + (HEAT[low + 1][i] - value) * (place - low));
}

/** An <img>, once its pixels are there. */
async function loaded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/** The RGBA bytes of an image. */
function pixelsOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function show(canvas, pixels) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Draw |a - b| of each channel times gain; returns its mean and maximum before that, in steps of 1/255. */
function drawError(canvas, a, b, gain) {
  const result = new ImageData(a.width, a.height);
  let sum = 0;
  let maximum = 0;
  for (let i = 0; i < a.data.length; i++) {
    if (i % 4 === 3) {
      result.data[i] = 255;
      continue;
    }
    const difference = Math.abs(a.data[i] - b.data[i]);
    sum += difference;
    if (difference > maximum) maximum = difference;
    result.data[i] = difference * gain;
  }
  show(canvas, result);
  return { mean: sum / (a.width * a.height * 3), maximum };
}

/** The bits per latent position, row by row, from base64 of little-endian float32. */
function unpackBits({ columns, rows, position, values }) {
  const bytes = Uint8Array.from(atob(values), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const bits = Float32Array.from({ length: columns * rows }, (_, i) => view.getFloat32(4 * i, true));
  const sorted = bits.toSorted();
  return { columns, rows, position, bits, top: Math.max(sorted[Math.floor(0.99 * (bits.length - 1))], 1e-9) };
}

/** Draw the heat of the bits over the brightness of the picture; `map.top` bits and more are the brightest. */
function drawBits(canvas, picture, map) {
  const colours = Array.from(map.bits, (bits) => heat(bits / map.top));
  const result = new ImageData(picture.width, picture.height);
  for (let y = 0, i = 0; y < picture.height; y++) {
    const row = Math.floor(y / map.position) * map.columns;
    for (let x = 0; x < picture.width; x++, i += 4) {
      const colour = colours[row + Math.floor(x / map.position)];
      const light = 0.5 + (0.299 * picture.data[i] + 0.587 * picture.data[i + 1] + 0.114 * picture.data[i + 2]) / 510;
      for (let channel = 0; channel < 3; channel++) result.data[i + channel] = colour[channel] * light;
      result.data[i + 3] = 255;
    }
  }
  show(canvas, result);
}
