// Where a replay comes from: addresses to fetch, data at hand, or a run that goes on.

async function fetched(url, kind) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`The replay cannot be fetched (${response.status}).`);
  return kind === "json" ? response.json() : new Uint8Array(await response.arrayBuffer());
}

function fromBase64(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

// source: {replayUrl, trajectoryUrl} | {replay, trajectory} with bytes or base64 | {liveUrl}
async function loaded(source) {
  const replay = source.replayUrl ? await fetched(source.replayUrl, "json")
    : typeof source.replay === "string" ? JSON.parse(source.replay) : source.replay;
  let trajectory = source.trajectory;
  if (source.trajectoryUrl && replay.has_scene !== false) trajectory = await fetched(source.trajectoryUrl, "bytes");
  if (typeof trajectory === "string") trajectory = fromBase64(trajectory);
  return { replay, trajectory: trajectory && trajectory.length ? await readTrajectory(trajectory) : null };
}

// Calls `begin(replay, trajectory)` once, then `change(message)` for each state, events and end message.
function listen(url, begin, change, failed) {
  const address = new URL(url, document.baseURI);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  let trajectory = null, isBegun = false, isOver = false;
  socket.onmessage = (event) => {
    if (typeof event.data === "string") {
      const message = JSON.parse(event.data);
      if (message.kind === "scene") {
        trajectory = message.header && message.header.agents ? new Trajectory(message.header, 512) : null;
        isBegun = true;
        begin(message.replay, trajectory);
      } else {
        isOver = isOver || message.kind === "end";
        if (isBegun) change(message);
      }
    } else if (trajectory) {
      const index = new DataView(event.data).getUint32(0, true), bytes = new Uint8Array(event.data, 4);
      if (bytes.length === trajectory.size) trajectory.append(bytes, index);
      change({ kind: "frame" });
    }
  };
  socket.onclose = () => { if (!isOver) failed(isBegun); };
  return () => { isOver = true; socket.close(); };
}
