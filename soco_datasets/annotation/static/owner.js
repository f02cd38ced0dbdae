import { $, get, picture, post, showMessage } from "/static/api.js";
import { drawMarker } from "/static/stage.js";

const percent = (value, digits = 1) => (value === null || value === undefined ? "-" : `${(100 * value).toFixed(digits)} %`);
const plain = (value, digits = 2) => (value === null || value === undefined ? "-" : value.toFixed(digits));
const pictures = new Map();

function row(cells) {
  const line = document.createElement("tr");
  for (const cell of cells) {
    const td = document.createElement("td");
    if (cell instanceof Node) td.append(cell); else td.textContent = cell;
    line.append(td);
  }
  return line;
}

function tile(title, value, note) {
  const box = document.createElement("div");
  box.append(title, Object.assign(document.createElement("strong"), { textContent: value }), Object.assign(document.createElement("span"), { className: "muted", textContent: note }));
  return box;
}

async function load() {
  try {
    const data = await get("/api/owner/overview");
    show(data);
    $("owner").hidden = false; $("message").hidden = true;
  } catch (error) { showMessage("This does not work", error.message, "Try again", load); }
}

function show({ title, progress, agreement, corrections, people, disputed, events }) {
  $("title").textContent = title;
  document.title = `Owner: ${title}`;
  $("tiles").replaceChildren(
    tile("Annotations", `${progress.done} / ${progress.wanted}`, `${progress.images} images, ${progress.open} open now, ${progress.last_hour} done in the last hour`),
    tile("Median spread", percent(agreement.spread_median, 2), `of the longest side; the paper: ${percent(agreement.paper_spread_median, 2)}`),
    tile("Visibility alpha", plain(agreement.visibility_alpha), `${agreement.visibility_units} keypoints judged by two or more`),
    tile("Disputed keypoints", String(agreement.disputed), `of ${agreement.keypoints}`),
    tile("Reviewed", String(corrections.judged), `minor ${percent(corrections.shares.minor)}, larger ${percent(corrections.shares.larger)}`),
  );
  $("people").replaceChildren(...people.map((person) => {
    const s = person.statistics, status = Object.assign(document.createElement("span"), { textContent: person.status });
    if (person.status === "paused") status.className = "paused";
    if (person.status === "failed") status.className = "failed-person";
    let action = "";
    if (person.role !== "owner") {
      const to = person.status === "active" ? "paused" : "active";
      action = Object.assign(document.createElement("button"), { textContent: to === "active" ? "Resume" : "Pause" });
      action.onclick = () => post(`/api/owner/people/${person.id}/status`, { status: to }).then(load, (e) => showMessage("Not done", e.message, "Back", load));
    }
    return row([person.name, person.role, status, String(person.done), plain(person.seconds_per_image, 0), percent(person.gold ?? person.qualification, 0),
      s?.bias ? s.bias.map((v) => (100 * v).toFixed(2)).join(", ") : "-", s ? `${s.left_right_confused} / ${s.pairs}` : "-", s ? String(s.outliers) : "-", action]);
  }));
  $("categories").replaceChildren(...Object.entries(agreement.per_category).map(([name, c]) => row([name, String(c.images), percent(c.spread_median, 2), plain(c.visibility_alpha), String(c.disputed)])));
  $("events").replaceChildren(...events.map((e) => row([e.created.slice(0, 19).replace("T", " "), e.kind.replaceAll("_", " "), e.person || "", Object.entries(e.detail).map(([k, v]) => `${k}: ${typeof v === "number" ? +v.toFixed(3) : v}`).join(", ")])));
  $("disputes").replaceChildren(...disputed.map(disputeFigure));
  if (!disputed.length) $("disputes").textContent = "None so far.";
}

function disputeFigure(one) {
  const figure = document.createElement("figure"), canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
  canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", `Disputed points of ${one.image}`);
  canvas.width = 480; canvas.height = Math.round((480 * one.height) / one.width);
  caption.textContent = `${one.image}: ${Object.entries(one.points).map(([name, why]) => `${name} (${why.join("; ")})`).join(", ")}`;
  figure.append(canvas, caption);
  if (!pictures.has(one.id)) pictures.set(one.id, picture(`/api/owner/images/${one.id}`));
  pictures.get(one.id).then((image) => {
    const g = canvas.getContext("2d"), scale = 480 / one.width;
    g.drawImage(image, 0, 0, canvas.width, canvas.height);
    for (const votes of Object.values(one.votes)) for (const vote of votes) drawMarker(g, [vote.x * scale, vote.y * scale], { kind: "unknown" });
  }).catch(() => {});
  return figure;
}

$("invite").onsubmit = async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  try {
    const { link } = await post("/api/owner/people", { name: form.get("name"), role: form.get("role"), days: Number(form.get("days")) });
    $("link").textContent = `Send this link to ${form.get("name")}; it is shown once: ${location.origin}${link}`;
    event.target.reset();
    load();
  } catch (error) { $("link").textContent = error.message; }
};
addEventListener("hashchange", () => location.reload());
load();
