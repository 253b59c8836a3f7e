/** The call: joins the room, keeps a connection to every other page, and has their videos watched. */
import { describeProblem } from "@sightline/web";
import { type Catalogue, fetchCatalogue } from "../../live/src/catalogue";
import { button, element, setText } from "../../live/src/elements";
import { placeFor, placesOf, readPlace } from "../../live/src/place";
import { Invitation } from "./invitation";
import { OwnVideo } from "./own";
import { Peer, type PeerState } from "./peer";
import { Room, type Signal } from "./room";
import { Tile, type WatchWish } from "./tile";

interface Member {
  readonly tile: Tile;
  /** Whether this page calls that one, or is called. */
  readonly isCalled: boolean;
  peer: Peer | null;
  state: PeerState;
  isShowing: boolean;
}

const CALL_AGAIN_MS = 3000;
const FIGURES_EVERY_MS = 500;

const NOTES: Record<PeerState, string> = {
  connecting: "Connecting",
  connected: "Shows nothing yet",
  lost: "The connection is interrupted",
  broken: "No way to this page is found: both must be in one network. It is tried again.",
};

export class CallPage {
  readonly #members = new Map<string, Member>();
  readonly #template = element("tile", HTMLTemplateElement);
  readonly #tiles = element("tiles", HTMLElement);
  readonly #place = element("place", HTMLSelectElement);
  #room: Room | null = null;
  #catalogue: Catalogue | null = null;
  #own: MediaStreamTrack | null = null;
  #joined = 0;

  /** Who is in the call, and what is found in their videos. */
  get members() {
    return [...this.#members].map(([id, { tile, state, isShowing }]) => {
      return { id, state, isShowing, note: tile.note, result: tile.result };
    });
  }

  start(): void {
    const { room } = new Invitation();
    const own = new OwnVideo({
      onTrack: (track) => this.#show(track),
      onError: (error, retry) => this.#report(error, retry),
    });
    this.#place.addEventListener("change", () => this.#applyPlace());
    setInterval(() => {
      for (const { tile } of this.#members.values()) tile.showFigures();
    }, FIGURES_EVERY_MS);
    this.#room = new Room(room, {
      onJoined: (members) => this.#join(members),
      onLeft: (id) => this.#forget(id),
      onSignal: (id, signal) => this.#hear(id, signal),
      onLost: (reason) => this.#setStatus("problem", reason ?? "The server does not answer"),
    });
    this.#loadCatalogue(own);
  }

  async #loadCatalogue(own: OwnVideo): Promise<void> {
    try {
      this.#catalogue = await fetchCatalogue();
      own.offerSample(this.#catalogue.sampleClipUrl);
      this.#applyPlace();
    } catch (error) {
      this.#report(error, () => this.#loadCatalogue(own));
    }
  }

  // Who is there

  /** Who comes calls those who are there. */
  #join(members: readonly string[]): void {
    for (const id of [...this.#members.keys()]) this.#forget(id);
    for (const id of members) this.#connect(id, this.#add(id, true));
    this.#showStatus();
  }

  #add(id: string, isCalled: boolean): Member {
    this.#joined++;
    const tile = new Tile(this.#template, `Guest ${this.#joined}`);
    tile.setWish(this.#wish());
    this.#tiles.append(tile.root);
    const member: Member = { tile, isCalled, peer: null, state: "connecting", isShowing: false };
    this.#members.set(id, member);
    this.#showStatus();
    return member;
  }

  #forget(id: string): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#members.delete(id);
    member.peer?.close();
    member.tile.remove();
    this.#showStatus();
  }

  /** A new connection in the place of a former one. */
  #connect(id: string, member: Member): Peer {
    member.peer?.close();
    const peer = new Peer(this.#own, {
      send: ({ description }) => this.#tell(id, description),
      onState: (state) => this.#follow(id, member, peer, state),
    });
    member.peer = peer;
    member.tile.setStream(peer.stream);
    this.#setState(member, "connecting");
    if (member.isCalled) {
      peer.call().catch(() => this.#follow(id, member, peer, "broken"));
    }
    return peer;
  }

  #follow(id: string, member: Member, peer: Peer, state: PeerState): void {
    if (member.peer !== peer || this.#members.get(id) !== member) return;
    this.#setState(member, state);
    if (state !== "broken" || !member.isCalled) return;
    setTimeout(() => {
      if (this.#members.get(id) === member && member.peer === peer) this.#connect(id, member);
    }, CALL_AGAIN_MS);
  }

  #hear(id: string, { description, isShowing }: Signal): void {
    const member = this.#members.get(id) ?? this.#add(id, false);
    member.isShowing = isShowing;
    this.#setState(member, member.state);
    if (description === undefined) return;
    const peer = description.type === "offer" ? this.#connect(id, member) : member.peer;
    peer?.take(description).catch(() => this.#follow(id, member, peer, "broken"));
  }

  #tell(id: string, description?: RTCSessionDescriptionInit): void {
    const isShowing = this.#own !== null;
    this.#room?.send(id, description === undefined ? { isShowing } : { description, isShowing });
  }

  #setState(member: Member, state: PeerState): void {
    member.state = state;
    const isShowing = state === "connected" && member.isShowing;
    member.tile.setState(isShowing, isShowing ? "" : NOTES[state]);
    this.#showStatus();
  }

  // What is shown and watched

  #show(track: MediaStreamTrack | null): void {
    this.#own = track;
    element("problem", HTMLElement).hidden = true;
    for (const [id, { peer }] of this.#members) {
      peer?.show(track).then(
        () => this.#tell(id),
        () => undefined, // closed meanwhile
      );
    }
  }

  #wish(): WatchWish | null {
    const [model] = this.#catalogue?.models ?? [];
    if (model === undefined) return null;
    const place = placeFor(model, readPlace(this.#place.value));
    if (place !== "device") return { model: model.name, server: "../", transport: place };
    return model.location === null ? null : { model: model.location };
  }

  #applyPlace(): void {
    const [model] = this.#catalogue?.models ?? [];
    if (model === undefined) return;
    const possible = placesOf(model);
    for (const option of this.#place.options) {
      option.disabled = !possible.includes(readPlace(option.value));
    }
    const place = placeFor(model, readPlace(this.#place.value));
    this.#place.value = place;
    setText(element("model-name", HTMLElement), model.name);
    const isHere = place === "device";
    const hint = isHere ? "The model runs in this browser." : `Sent on to ${location.host}.`;
    setText(element("place-hint", HTMLElement), hint);
    const promise = isHere
      ? "Pictures go to the others in this call and to nobody else."
      : `Pictures go to the others in this call and to this server, ${location.host}.`;
    const detail = isHere
      ? "They travel from device to device, without sound; the server only brings the devices together."
      : "What the others show is sent on from here, without sound; the server looks at it and keeps none.";
    setText(element("privacy-promise", HTMLElement), promise);
    setText(element("privacy-detail", HTMLElement), detail);
    for (const { tile } of this.#members.values()) tile.setWish(this.#wish());
  }

  #report(error: unknown, retry: () => void): void {
    const { title, advice } = describeProblem(error);
    const problem = element("problem", HTMLElement);
    problem.hidden = false;
    setText(element("problem-title", HTMLElement), title);
    setText(element("problem-advice", HTMLElement), advice);
    button("problem-retry").onclick = () => {
      problem.hidden = true;
      retry();
    };
  }

  #showStatus(): void {
    const count = this.#members.size;
    element("waiting", HTMLElement).hidden = count > 0;
    this.#tiles.dataset.count = String(count);
    const connected = [...this.#members.values()].filter(({ state }) => state === "connected");
    if (count === 0) this.#setStatus("ready", "Nobody else here");
    else if (connected.length === 0) this.#setStatus("connecting", "Connecting");
    else
      this.#setStatus("live", `${connected.length} other${connected.length > 1 ? "s" : ""} here`);
  }

  #setStatus(state: string, text: string): void {
    element("status", HTMLElement).dataset.state = state;
    setText(element("status-text", HTMLElement), text);
  }
}
