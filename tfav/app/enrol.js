// Shows one prompt after the other, records camera and microphone, sends each take and tells what was found in it.
"use strict";

const COUNTDOWN_SEC = 3;
const TYPES = ["video/webm;codecs=vp8,opus", "video/webm", "video/mp4"]; // VP8 is what slow machines can encode
const BITS_PER_SEC = 4_000_000;
const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
const part = (id) => document.getElementById(id);
const REFUSED = {
  NotAllowedError: "The browser was not permitted to use the camera. Allow it beside the address, then try again.",
  NotReadableError: "The camera is used by another program. Close it, then try again.",
  NotFoundError: "No camera was found. Connect one, then try again.",
};

let state = null; // as the server tells it
let slot = null; // what is to be said now
let last = null; // what was said well before
let stream = null;
let recorder = null;
let unsent = null; // a take that could not be sent, and its slot
let step = "closed"; // closed, ready, counting, recording, sending, unsent, finished

const LABELS = {
  closed: "Turn on the camera",
  ready: "Record",
  counting: "Cancel",
  recording: "Stop",
  sending: "Checking",
  unsent: "Send it again",
  finished: "All is recorded",
};

function go(next) {
  step = next;
  part("main").textContent = LABELS[step];
  part("main").setAttribute("aria-disabled", step === "sending" || step === "finished");
  part("again").hidden = !(last && (step === "ready" || step === "finished"));
  part("skip").hidden = step !== "ready";
  cue(step === "recording" ? "Speak now" : "");
}

function cue(text) {
  part("cue").textContent = text;
  part("cue").className = step;
}

function tell(kind, lines) {
  part("status").className = kind;
  part("status").replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
}

function show(found) {
  state = found;
  slot = state.next;
  part("progress").textContent = `${state.done} of ${state.total} takes of ${state.speaker} are recorded.`;
  part("bar").value = state.total ? state.done / state.total : 1;
  part("prompt").textContent = slot ? slot.text : "All sentences are recorded. Thank you!";
  if (!slot && (step === "ready" || step === "sending")) {
    tell("good", [`Next: ${state.then}`]);
    go("finished");
  }
}

async function load(after) {
  try {
    const asked = after ? `state?after=${after.number}-${after.take}` : "state";
    show(await (await fetch(asked)).json());
    return true;
  } catch {
    tell("wrong", ["The server cannot be reached. Start it again, then reload this page."]);
    return false;
  }
}

async function openCamera() {
  if (!navigator.mediaDevices || !window.MediaRecorder) {
    tell("wrong", ["This browser gives no camera to this address. Open it by https, or on the machine itself as 127.0.0.1."]);
    return;
  }
  let note = "";
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: CAMERA, audio: true });
  } catch (first) {
    try {
      // Lips can be read without sound; whether they speak is then seen by them alone.
      stream = await navigator.mediaDevices.getUserMedia({ video: CAMERA });
      note = first.name === "NotAllowedError" ? "The microphone was not permitted." : "No microphone was found.";
    } catch (error) {
      tell("wrong", [REFUSED[error.name] || `The camera cannot be used: ${error.message || error.name}. Try another one.`]);
      return;
    }
  }
  stream.getVideoTracks()[0].onended = loseCamera;
  part("preview").srcObject = stream;
  await part("preview").play();
  tell("", ["Put your face into the oval, press Record, and speak after the countdown.", ...(note ? [`${note} Takes are kept without sound.`] : [])]);
  go("ready");
  if (!slot) show(state);
}

function loseCamera() {
  const was = step;
  stream = null;
  if (recorder) recorder.onstop = null;
  if (was === "sending" || was === "unsent") return; // that take is whole
  go("closed");
  tell("wrong", ["The camera was lost. Connect it, turn it on again, and repeat this sentence."]);
}

async function count() {
  go("counting");
  tell("", []);
  for (let left = COUNTDOWN_SEC; left > 0; left -= 1) {
    cue(String(left));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (step !== "counting") return;
  }
  record();
}

function record() {
  const chunks = [];
  const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one));
  recorder = new MediaRecorder(stream, { mimeType: type, videoBitsPerSecond: BITS_PER_SEC });
  recorder.ondataavailable = (event) => chunks.push(event.data);
  const timer = setTimeout(stop, 1000 * state.max_sec - 500); // a longer take would be refused
  recorder.onstop = () => {
    clearTimeout(timer);
    send(new Blob(chunks, { type: recorder.mimeType }), slot);
  };
  recorder.start();
  go("recording");
}

function stop() {
  if (step === "recording" && recorder.state === "recording") recorder.stop();
}

async function send(take, said) {
  go("sending");
  tell("", ["The take is being checked."]);
  let answer;
  try {
    const options = { method: "POST", body: take, headers: { "Content-Type": take.type || "video/webm" } };
    answer = await (await fetch(`takes/${said.number}/${said.take}`, options)).json();
  } catch {
    unsent = [take, said];
    tell("wrong", ["The take could not be sent: the server cannot be reached. It is kept in this page; start the server again."]);
    go("unsent");
    return;
  }
  unsent = null;
  if (answer.is_good) {
    last = said;
    tell("good", ["Good, the take is kept.", ...answer.lines]);
    go(stream ? "ready" : "closed");
    show(answer.state);
  } else {
    tell("wrong", ["Please say it again:", ...answer.lines]);
    go(stream ? "ready" : "closed");
  }
}

part("main").addEventListener("click", async () => {
  if (step === "closed" && (state || (await load()))) await openCamera();
  else if (step === "ready") await count();
  else if (step === "counting") go("ready");
  else if (step === "recording") stop();
  else if (step === "unsent") await send(...unsent);
});

part("again").addEventListener("click", () => {
  slot = last;
  last = null;
  part("prompt").textContent = slot.text;
  tell("", ["The earlier take stays until a new one is good."]);
  go("ready");
  part("main").focus();
});

part("skip").addEventListener("click", async () => {
  if (await load(slot)) tell("", ["Skipped. It comes again when the others are done."]);
  part("main").focus();
});

async function begin() {
  if (!(await load())) return;
  if (state.refused.length) tell("wrong", ["Left out of the prompts:", ...state.refused]);
  // A page that was left while a take was on its way finds it here.
  while (state.checking && step === "closed") {
    tell("", ["Your last take is still being checked."]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = state.done;
    if (!(await load())) return;
    if (!state.checking) tell("", [state.done > before ? "Your last take is kept." : "Turn on the camera to go on."]);
  }
}

begin();
