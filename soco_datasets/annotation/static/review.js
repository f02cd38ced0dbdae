import { $, newKey, picture, post, showMessage } from "/static/api.js";
import { drawCard, Stage } from "/static/stage.js";

const MARKS = { accept: "✓", move: "→", hide: "–", swap: "⇄" };
const state = { task: null, chosen: 0, cards: new Map(), busy: Promise.resolve() };
const stage = new Stage($("canvas"), {
  clicked: (point) => judge("move", { x: point[0], y: point[1] }),
  moved: (name, point) => { choose(indexOf(name)); judge("move", { x: point[0], y: point[1] }); },
  chosen: (name) => choose(indexOf(name)),
});
const indexOf = (name) => state.task.keypoints.findIndex((k) => k.name === name);
const current = () => state.task.keypoints[state.chosen];
const answerOf = (name) => state.task.points[name];
const isOpen = (k) => !k.verdict && ["visible", "unknown"].includes(answerOf(k.name)?.state);

async function next() {
  try {
    const { task, message, statistics } = await post("/api/review/next", {});
    if (!task) {
      const share = (name) => statistics.shares[name] === null ? "-" : `${(100 * statistics.shares[name]).toFixed(1)} %`;
      showMessage("All reviewed", `${message} Untouched ${share("untouched")}, minor corrections ${share("minor")}, larger ${share("larger")}.`, "Look again", next);
      return;
    }
    const image = await picture(`/api/review/${task.id}/image`);
    if (state.task?.category !== task.category) state.cards = new Map();
    state.task = task;
    $("category").textContent = task.category;
    $("message").hidden = true; $("work").hidden = false;
    stage.show(image, [task.width, task.height]);
    choose(firstOpen(0));
    $("canvas").focus();
  } catch (error) { showMessage("This does not work", error.message, "Try again", next); }
}

function firstOpen(from) {
  const n = state.task.keypoints.length;
  for (let i = 0; i < n; i += 1) if (isOpen(state.task.keypoints[(from + i) % n])) return (from + i) % n;
  return from % n;
}

function choose(index) {
  const n = state.task.keypoints.length;
  state.chosen = ((index % n) + n) % n;
  const keypoint = current(), answer = answerOf(keypoint.name);
  $("name").textContent = keypoint.text;
  $("code").textContent = keypoint.name;
  $("why").textContent = keypoint.disputes.length ? `Disputed: ${keypoint.disputes.join("; ")}` : answer?.state === "hidden" ? "People say it is not visible." : "";
  $("accept").disabled = !["visible", "hidden"].includes(answer?.state);
  $("other").replaceChildren(...state.task.keypoints.filter((k) => k !== keypoint).map((k) => new Option(k.text, k.name, false, k.name === keypoint.mirror)));
  showCard(keypoint);
  render();
  if (answer && answer.x !== null) stage.reveal([answer.x, answer.y]);
}

async function showCard(keypoint) {
  const card = keypoint.card, index = state.chosen;
  $("no-card").hidden = !!card; $("card").hidden = !card;
  if (!card) return;
  try {
    if (!state.cards.has(index)) state.cards.set(index, await picture(`/api/review/${state.task.id}/card/${index}`));
    if (current() === keypoint) drawCard($("card"), state.cards.get(index), card);
  } catch { $("no-card").hidden = false; $("card").hidden = true; }
}

function render() {
  $("points").replaceChildren(...state.task.keypoints.map((keypoint, index) => {
    const item = document.createElement("li"), button = document.createElement("button"), mark = document.createElement("span"), text = document.createElement("span");
    const said = answerOf(keypoint.name)?.state || "empty";
    mark.className = `mark ${keypoint.verdict ? "visible" : keypoint.disputes.length ? "disputed" : said}`;
    mark.textContent = keypoint.verdict ? MARKS[keypoint.verdict] : keypoint.disputes.length ? "!" : said === "visible" ? "●" : said === "hidden" ? "–" : "?";
    text.className = "text"; text.textContent = `${index + 1}. ${keypoint.text}`;
    button.append(mark, text);
    button.setAttribute("aria-current", index === state.chosen);
    button.onclick = () => { choose(index); $("canvas").focus(); };
    item.append(button);
    return item;
  }));
  $("points").children[state.chosen]?.scrollIntoView({ block: "nearest" });
  const open = state.task.keypoints.filter(isOpen).length;
  $("count").textContent = open ? `${open} left` : "complete";
  $("next").disabled = open > 0;
  $("all").disabled = !state.task.keypoints.some((k) => isOpen(k) && answerOf(k.name).state === "visible" && !k.disputes.length);
  stage.markers = state.task.keypoints.flatMap((keypoint, index) => {
    const answer = answerOf(keypoint.name), chosen = index === state.chosen;
    const own = answer && answer.x !== null ? [{ name: keypoint.name, point: [answer.x, answer.y], kind: keypoint.verdict ? "visible" : "unsure", chosen, label: chosen ? "" : String(index + 1) }] : [];
    const votes = chosen ? keypoint.votes.filter((v) => v.x !== null).map((v) => ({ name: keypoint.name, point: [v.x, v.y], kind: "vote", small: true })) : [];
    return [...votes, ...own];
  });
  stage.draw();
}

function judge(verdict, extra = {}) {
  const keypoint = current().name;
  if (extra.x !== undefined) [extra.x, extra.y] = stage.clamp([extra.x, extra.y]);
  send({ keypoint, verdict, ...extra }).then((ok) => { if (ok) choose(verdict === "move" ? indexOf(keypoint) : firstOpen(indexOf(keypoint))); });
}

function send(body) {
  const key = newKey(), task = state.task;
  $("status").className = "waiting"; $("status").textContent = "Saving";
  state.busy = state.busy.then(async () => {
    for (let wait = 400; ; wait = Math.min(wait * 1.7, 8000)) {
      try {
        const reply = await post(`/api/review/${task.id}/judge`, { ...body, key, seen: state.task.seen });
        if (state.task.id === task.id) state.task = reply.task;
        $("status").className = "saved"; $("status").textContent = "Saved";
        return true;
      } catch (error) {
        if (error.status && error.status < 500) { showMessage("Not stored", error.message, "Reload", () => location.reload()); return false; }
        $("status").className = "failed"; $("status").textContent = "No connection, trying again";
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  });
  return state.busy;
}

async function acceptAll() {
  for (const k of state.task.keypoints.filter((one) => isOpen(one) && answerOf(one.name).state === "visible" && !one.disputes.length)) {
    if (!(await send({ keypoint: k.name, verdict: "accept" }))) return;
  }
  choose(firstOpen(state.chosen));
}

function nudge(dx, dy, event) {
  const answer = answerOf(current().name), step = event.shiftKey ? 10 : event.altKey ? 0.2 : 1;
  if (answer && answer.x !== null) judge("move", { x: answer.x + dx * step, y: answer.y + dy * step });
}

const swap = () => judge("swap", { other: $("other").value });
const accept = () => { if (!$("accept").disabled) judge("accept"); };
const KEYS = {
  a: accept, enter: accept, h: () => judge("hide"), s: swap, n: () => { if (!$("next").disabled) next(); },
  j: () => choose(state.chosen + 1), k: () => choose(state.chosen - 1),
  arrowleft: (e) => nudge(-1, 0, e), arrowright: (e) => nudge(1, 0, e), arrowup: (e) => nudge(0, -1, e), arrowdown: (e) => nudge(0, 1, e),
  "+": () => stage.zoom(1.4), "-": () => stage.zoom(1 / 1.4), 0: () => stage.fit(),
};
addEventListener("keydown", (event) => {
  if ($("work").hidden || !$("message").hidden || event.ctrlKey || event.metaKey || event.target instanceof HTMLSelectElement) return;
  if (event.key === "Enter" && event.target instanceof HTMLButtonElement) return;
  const action = KEYS[event.key.toLowerCase()];
  if (action) { event.preventDefault(); action(event); }
});
$("accept").onclick = accept; $("hide").onclick = () => judge("hide"); $("swap").onclick = swap;
$("all").onclick = acceptAll; $("next").onclick = next;
$("zoom-in").onclick = () => stage.zoom(1.5); $("zoom-out").onclick = () => stage.zoom(1 / 1.5); $("zoom-fit").onclick = () => stage.fit();
addEventListener("hashchange", () => location.reload());
next();
