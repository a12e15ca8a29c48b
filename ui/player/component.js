// Inside Streamlit: one player for each place on the page, told of new data and colours on every run.

const mounted = new WeakMap();

export default function component({ data, parentElement, setStateValue, setTriggerValue }) {
  const element = parentElement.querySelector(".wtp-host");
  const key = JSON.stringify([data.replayUrl, data.trajectoryUrl, data.liveUrl, data.version]);
  let known = mounted.get(element);
  if (known && known.key !== key) { known.handle.destroy(); known = null; }
  if (!known) {
    const options = {
      seek: data.seek ? data.seek.t : 0,
      onSeek: (t) => setStateValue("seek", t),
      onSelect: (name) => { if (data.hasSelection) setStateValue("selected", name); },
    };
    known = { key, handle: mountPlayer(element, data, options), asked: data.seek ? data.seek.id : null };
    mounted.set(element, known);
    element.wtPlayer = known.handle;
  } else if (known.handle.player) {
    known.handle.player.recolour();
  }
  if (data.seek && data.seek.id !== known.asked) {
    known.asked = data.seek.id;
    known.handle.seek(data.seek.t);
    element.scrollIntoView({ block: "nearest" });
  }
  return () => {
    mounted.delete(element);
    known.handle.destroy();
  };
}
