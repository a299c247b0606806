// A screen on a wall: `?kiosk` starts by itself, shows the music and no controls, and stays awake.

const AGAIN_MS = 5000;
const GESTURES = ["pointerdown", "keydown", "touchend"];

/** Have sound begin at the first gesture, where the browser waits for one. */
export function unlock(context, told) {
  if (context.state === "running") return;
  const resume = () => context.resume();
  for (const gesture of GESTURES) addEventListener(gesture, resume);
  told(true);
  context.addEventListener("statechange", () => {
    if (context.state === "suspended") return;
    for (const gesture of GESTURES) removeEventListener(gesture, resume);
    told(false);
  });
}

/** Start `page` as soon as its server answers, and keep the screen on. */
export async function kiosk(page) {
  document.body.dataset.kiosk = true;
  stayAwake();
  document.addEventListener("visibilitychange", stayAwake);
  while (!page.running) {
    try {
      await page.start();
    } catch {
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

async function stayAwake() {
  if (document.visibilityState !== "visible") return;
  try {
    await navigator.wakeLock?.request("screen");
  } catch {
    // a browser may refuse, when its battery is low
  }
}
