// Returns every text of the page with the contrast (WCAG 2.2) between its colour and its background.
const channel = c => { c /= 255; return c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
const rgba = text => [...text.match(/[\d.]+/g).map(Number), 1].slice(0, 4);
const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
function ground(element) {
  const own = rgba(getComputedStyle(element).backgroundColor);
  if (own[3] === 1) return own;
  return over(own, element.parentElement ? ground(element.parentElement) : [255, 255, 255]);
}
const found = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  const isSeen = texts.currentNode.data.trim() && element.checkVisibility();
  if (!isSeen || element.closest("svg")) continue;
  const below = ground(element);
  const style = getComputedStyle(element);
  const [a, b] = [light(over(rgba(style.color), below)), light(below)];
  found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), element.outerHTML.slice(0, 100)]);
}
return found;
