import { $, get, picture, post, Queue, Refusal, showMessage, token } from "/static/api.js";
import { drawCard, Stage } from "/static/stage.js";

const MARKS = { visible: "●", hidden: "–", unsure: "?", suggested: "◌", empty: "○" };
const state = { task: null, points: {}, chosen: 0, cards: new Map(), seconds: 0, queue: null, turk: null };

const stage = new Stage($("canvas"), {
  clicked: (point) => place("visible", point, "hand", true),
  moved: (name, point) => { choose(indexOf(name)); place("visible", point, "hand", false); },
  chosen: (name) => choose(indexOf(name)),
});

const indexOf = (name) => state.task.keypoints.findIndex((k) => k.name === name);
const current = () => state.task.keypoints[state.chosen];
const answerOf = (name) => state.points[name] || null;
const suggestionOf = (name) => (answerOf(name) ? null : state.task.suggestions[name] || null);

async function start() {
  if (location.pathname === "/mturk" && !(await startTurk())) return;
  try {
    const me = await get("/api/me");
    $("title").textContent = me.title;
    $("instructions").textContent = me.instructions;
    document.title = `Annotate: ${me.title}`;
    await nextTask();
  } catch (error) { explain(error, start); }
}

async function startTurk() {
  const given = Object.fromEntries(new URLSearchParams(location.search));
  try {
    const session = await post("/api/mturk/session", given);
    state.turk = { ...session, assignment: given.assignmentId };
    if (session.preview) {
      const names = (session.keypoints || []).map((name) => name.replaceAll("_", " ")).join(", ");
      showMessage(session.title, `${session.instructions} You place these points in a photograph: ${names}. Accept the HIT to begin.`);
      return false;
    }
    token.value = session.token;
    return true;
  } catch (error) { explain(error, () => location.reload()); return false; }
}

function explain(error, again) {
  const title = error instanceof Refusal ? "This does not work" : "No connection";
  showMessage(title, error instanceof Refusal ? error.message : "The server does not answer. Your steps are kept here.", "Try again", () => { again(); });
}

async function nextTask() {
  const { task, message } = await post("/api/next", {});
  if (!task) { showMessage("All done", message, "Look again", () => nextTask().catch((e) => explain(e, nextTask))); return; }
  if (state.turk && task.status === "done") { submitTurk(); return; }
  const image = await picture(`/api/tasks/${task.id}/image`);
  Object.assign(state, { task, points: { ...task.points }, seconds: task.seconds });
  if (state.cards.category !== task.category) { state.cards = new Map(); state.cards.category = task.category; }
  state.queue = new Queue(`${token.value.slice(0, 24)}-${task.id}`, { sent, refused, changed });
  state.queue.seen = task.seen;
  state.canUndo = task.can_undo;
  $("category").textContent = task.category;
  $("message").hidden = true; $("work").hidden = false;
  stage.show(image, [task.width, task.height]);
  for (const item of state.queue.items) applyLocally(item.body); // steps made before a crash
  choose(firstOpen(0));
  changed(state.queue.items.length);
  state.queue.run();
  $("canvas").focus();
}

function firstOpen(from) {
  const points = state.task.keypoints, n = points.length;
  for (let i = 0; i < n; i += 1) { const j = (from + i) % n; if (!answerOf(points[j].name)) return j; }
  return Math.min(from, n - 1);
}

function choose(index) {
  const n = state.task.keypoints.length;
  state.chosen = ((index % n) + n) % n;
  stage.cursor = null;
  const keypoint = current(), answer = answerOf(keypoint.name), suggestion = suggestionOf(keypoint.name);
  $("name").textContent = keypoint.text;
  $("code").textContent = keypoint.name;
  $("confirm").hidden = !suggestion;
  showCard(keypoint);
  render();
  if (answer && answer.x !== null) stage.reveal([answer.x, answer.y]);
  else if (suggestion) stage.reveal([suggestion.x, suggestion.y]);
}

async function showCard(keypoint) {
  const card = keypoint.card, canvas = $("card");
  $("no-card").hidden = !!card; canvas.hidden = !card;
  if (!card) return;
  const index = indexOf(keypoint.name);
  try {
    if (!state.cards.has(index)) state.cards.set(index, await picture(`/api/tasks/${state.task.id}/card/${index}`));
    if (current() === keypoint) drawCard(canvas, state.cards.get(index), card);
  } catch { $("no-card").hidden = false; canvas.hidden = true; }
}

function render() {
  const list = $("points"), names = state.task.keypoints;
  while (list.children.length < names.length) {
    const item = document.createElement("li"), button = document.createElement("button");
    button.append(Object.assign(document.createElement("span"), { className: "mark" }), Object.assign(document.createElement("span"), { className: "text" }));
    item.append(button); list.append(item);
    const index = list.children.length - 1;
    button.onclick = () => { choose(index); $("canvas").focus(); };
  }
  while (list.children.length > names.length) list.lastChild.remove();
  names.forEach((keypoint, index) => {
    const button = list.children[index].firstChild, [mark, text] = button.children;
    const kind = answerOf(keypoint.name)?.state || (suggestionOf(keypoint.name) ? "suggested" : "empty");
    mark.className = `mark ${kind}`; mark.textContent = MARKS[kind];
    text.textContent = `${index + 1}. ${keypoint.text}`;
    button.setAttribute("aria-current", index === state.chosen);
    button.setAttribute("aria-label", `${keypoint.text}: ${kind}`);
  });
  list.children[state.chosen]?.scrollIntoView({ block: "nearest" });
  const answered = names.filter((k) => answerOf(k.name)).length;
  $("count").textContent = `${answered} / ${names.length}`;
  $("finish").disabled = answered < names.length;
  $("undo").disabled = !state.canUndo;
  stage.markers = names.flatMap((keypoint, index) => {
    const answer = answerOf(keypoint.name), suggestion = suggestionOf(keypoint.name), chosen = index === state.chosen;
    if (answer && answer.x !== null) return [{ name: keypoint.name, point: [answer.x, answer.y], kind: answer.state, chosen, label: chosen ? "" : String(index + 1) }];
    return suggestion ? [{ name: keypoint.name, point: [suggestion.x, suggestion.y], kind: "suggested", chosen, label: String(index + 1) }] : [];
  });
  stage.draw();
}

function applyLocally({ keypoint, state: said, x, y }) {
  if (!keypoint) return;
  if (said === "empty") delete state.points[keypoint];
  else state.points[keypoint] = { state: said, x: x ?? null, y: y ?? null };
}

function place(said, point, source, advance) {
  const name = current().name, where = point ? stage.clamp(point) : null;
  const step = { keypoint: name, state: said, source };
  if (where) { step.x = Math.round(where[0] * 1000) / 1000; step.y = Math.round(where[1] * 1000) / 1000; }
  applyLocally(step);
  state.canUndo = true;
  state.queue.add(`/api/tasks/${state.task.id}/place`, step);
  if (advance) choose(firstOpen(state.chosen)); else choose(state.chosen);
}

function confirmSuggestion() {
  const suggestion = suggestionOf(current().name);
  if (suggestion) place("visible", [suggestion.x, suggestion.y], "suggestion", true);
  return !!suggestion;
}

function undo() { if (state.canUndo) state.queue.add(`/api/tasks/${state.task.id}/undo`, {}); }

function sent(reply, waiting) {
  state.canUndo = reply.can_undo;
  if (waiting) return;
  const before = JSON.stringify(Object.keys(state.points)), changedNames = Object.keys({ ...state.points, ...reply.points }).filter(
    (name) => JSON.stringify(pick(state.points[name])) !== JSON.stringify(pick(reply.points[name])));
  state.points = { ...reply.points };
  if (changedNames.length === 1) choose(indexOf(changedNames[0]));
  else if (changedNames.length || before !== JSON.stringify(Object.keys(state.points))) render();
  else $("undo").disabled = !state.canUndo;
}

const pick = (answer) => answer && [answer.state, answer.x, answer.y];

function refused(error) { showMessage("Not stored", error.message, "Reload", () => location.reload()); }

function changed(waiting, failed) {
  const status = $("status");
  status.className = failed ? "failed" : waiting ? "waiting" : "saved";
  status.textContent = failed ? `No connection, ${waiting} kept here` : waiting ? "Saving" : "Saved";
}

async function finish() {
  if ($("finish").disabled) return;
  $("finish").disabled = true;
  try {
    await state.queue.drained();
    await post(`/api/tasks/${state.task.id}/finish`, { seconds: Math.round(state.seconds) });
    if (state.turk) submitTurk(); else await nextTask();
  } catch (error) { explain(error, () => { $("message").hidden = true; render(); }); }
}

function submitTurk() {
  const form = Object.assign(document.createElement("form"), { method: "POST", action: state.turk.submit });
  for (const [name, value] of [["assignmentId", state.turk.assignment], ["task", String(state.task?.id ?? "done")]]) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  document.body.append(form);
  form.submit();
}

function nudge(dx, dy, event) {
  const step = event.shiftKey ? 10 : event.altKey ? 0.2 : 1, answer = answerOf(current().name);
  if (answer && answer.x !== null) { place(answer.state, [answer.x + dx * step, answer.y + dy * step], "hand", false); return; }
  const from = stage.cursor || suggestionPoint() || stage.toImage([stage.view[0] / 2, stage.view[1] / 2]);
  const reach = event.shiftKey ? 10 : event.altKey ? 0.2 : Math.max(1, 6 / stage.scale);
  stage.cursor = stage.clamp([from[0] + dx * reach, from[1] + dy * reach]);
  stage.reveal(stage.cursor);
}

function suggestionPoint() { const s = suggestionOf(current().name); return s && [s.x, s.y]; }

const KEYS = {
  arrowleft: (e) => nudge(-1, 0, e), arrowright: (e) => nudge(1, 0, e), arrowup: (e) => nudge(0, -1, e), arrowdown: (e) => nudge(0, 1, e),
  enter: () => { if (stage.cursor) place("visible", stage.cursor, "hand", true); else if (!confirmSuggestion()) choose(firstOpen(state.chosen + 1)); },
  h: () => place("hidden", null, "hand", true), u: () => unsure(), z: () => undo(),
  j: () => choose(state.chosen + 1), k: () => choose(state.chosen - 1),
  "+": () => zoomHere(1.4), "=": () => zoomHere(1.4), "-": () => zoomHere(1 / 1.4), 0: () => stage.fit(),
  n: () => finish(), "?": () => $("help-dialog").showModal(),
};

function unsure() {
  const answer = answerOf(current().name);
  place("unsure", answer && answer.x !== null ? [answer.x, answer.y] : stage.cursor, "hand", true);
}

function zoomHere(factor) {
  const answer = answerOf(current().name);
  const point = stage.cursor || (answer && answer.x !== null ? [answer.x, answer.y] : null);
  stage.zoom(factor, point ? stage.toScreen(point) : undefined);
  if (point) stage.reveal(point);
}

addEventListener("keydown", (event) => {
  if ($("work").hidden || !$("message").hidden || $("help-dialog").open || !state.task) return;
  if (event.ctrlKey || event.metaKey) { if (event.key.toLowerCase() === "z") { event.preventDefault(); undo(); } return; }
  if (event.key === "Enter" && event.target instanceof HTMLButtonElement) return;
  const action = KEYS[event.key.toLowerCase()];
  if (action) { event.preventDefault(); action(event); }
});
$("confirm").onclick = confirmSuggestion;
$("hidden").onclick = () => place("hidden", null, "hand", true);
$("unsure").onclick = unsure;
$("undo").onclick = undo;
$("finish").onclick = finish;
$("help").onclick = () => $("help-dialog").showModal();
$("zoom-in").onclick = () => zoomHere(1.5);
$("zoom-out").onclick = () => zoomHere(1 / 1.5);
$("zoom-fit").onclick = () => stage.fit();
setInterval(() => { if (!document.hidden && state.task) state.seconds += 1; }, 1000);
addEventListener("hashchange", () => location.reload());
start();
