/** What finds the objects: a model of the catalogue, on this device or on the server. */
import {
  type Backend,
  type Engine,
  MediaBlocked,
  openEngine,
  type RemoteState,
  StreamUnsendable,
  type WatchSettings,
} from "@sightline/web";
import { type Catalogue, type CatalogueModel, fetchCatalogue } from "./catalogue";
import { element } from "./elements";
import { type Place, PlaceChoice, placeFor, placesOf, readPlace } from "./place";
import { again, type Remedy, type Stage } from "./stage";

export interface FinderListener {
  /** Another catalogue is there. */
  onCatalogue(catalogue: Catalogue): void;
  /** Another model is to be loaded; what was found by the former is not of it. */
  onModel(model: CatalogueModel): void;
  /** The engine is ready; null: none is until it is told. The former is closed after this. */
  onEngine(engine: Engine | null): void;
  /** The state or the connection has changed. */
  onState(): void;
  onProblem(error: unknown, remedy: Remedy, note?: string): void;
  /** A problem of the connection is over. */
  onMended(): void;
}

export class Finder {
  readonly #stage: Stage;
  readonly #settings: () => WatchSettings;
  readonly #listener: FinderListener;
  readonly #placeChoice = new PlaceChoice((place) => this.choosePlace(place));
  readonly #models = element("models", HTMLSelectElement);
  readonly #parameters = new URLSearchParams(location.search);
  #catalogue: Catalogue | null = null;
  #model: CatalogueModel | null = null;
  #wanted: Place = readPlace(this.#parameters.get("run"));
  /** The wanted place, or another where the model does not run there. */
  #place: Place = this.#wanted;
  #engine: Engine | null = null;
  #connection: RemoteState | null = null;
  #isProblemOfConnection = false;
  #loading: AbortController | null = null;
  #state: "loading" | "ready" | "failed" = "loading";

  /** `settings`: those that an engine is opened with. */
  constructor(stage: Stage, settings: () => WatchSettings, listener: FinderListener) {
    this.#stage = stage;
    this.#settings = settings;
    this.#listener = listener;
    this.#models.addEventListener("change", () => {
      const name = this.#models.value;
      this.#model = this.#catalogue?.models.find((model) => model.name === name) ?? this.#model;
      this.load();
    });
  }

  get state(): "loading" | "ready" | "failed" {
    return this.#state;
  }

  get model(): CatalogueModel | null {
    return this.#model;
  }

  get engine(): Engine | null {
    return this.#engine;
  }

  get place(): Place {
    return this.#place;
  }

  /** To the server; null while nothing is sent there. */
  get connection(): RemoteState | null {
    return this.#connection;
  }

  /** Whether frames get to the engine: to one in this page always. */
  get isConnected(): boolean {
    return this.#connection === null || this.#connection.kind === "ready";
  }

  /** Fetch the catalogue and load the address's model, else the one used last, else the first. */
  async start(lastUsed: string | null): Promise<void> {
    try {
      this.#catalogue = await fetchCatalogue();
    } catch (error) {
      this.#fail(
        error,
        again(() => this.start(lastUsed)),
      );
      return;
    }
    const { models } = this.#catalogue;
    const named = (name: string | null) => models.find((model) => model.name === name);
    this.#model = named(this.#parameters.get("model")) ?? named(lastUsed) ?? models[0];
    this.#models.replaceChildren(...models.map(({ name }) => new Option(name, name)));
    this.#models.value = this.#model.name;
    element("model-choice", HTMLLabelElement).hidden = models.length === 1;
    element("model-name", HTMLParagraphElement).hidden = models.length > 1;
    const isLoading = this.load();
    this.#listener.onCatalogue(this.#catalogue);
    await isLoading;
  }

  choosePlace(place: Place): void {
    this.#wanted = place;
    const address = new URL(location.href); // so that reloading the page keeps the choice
    if (place === "device") address.searchParams.delete("run");
    else address.searchParams.set("run", place);
    history.replaceState(null, "", address);
    this.load();
  }

  /** Nothing is watched any more: connections and their problems are over. */
  rest(): void {
    this.#connection = null;
    if (this.#isProblemOfConnection) this.#stage.hideProblem();
    this.#isProblemOfConnection = false;
  }

  /** What may help against an error of the engine. */
  remedyFor(error: unknown, isTriedAgain = false): Remedy {
    if (error instanceof MediaBlocked || error instanceof StreamUnsendable) {
      return { label: "Use WebSocket", act: () => this.choosePlace("websocket") };
    }
    if (isTriedAgain && this.#model?.location) {
      return { label: "Use this device", act: () => this.choosePlace("device") };
    }
    return again(() => this.load());
  }

  /** Have the chosen model found in the chosen place. */
  async load(): Promise<void> {
    const model = this.#model;
    if (model === null) return;
    this.#loading?.abort();
    this.#setEngine(null);
    const loading = new AbortController();
    this.#loading = loading;
    this.#setState("loading");
    this.#stage.hideProblem();
    this.#place = placeFor(model, this.#wanted);
    this.#placeChoice.show(this.#place, placesOf(model));
    this.#listener.onModel(model);
    try {
      const engine = await this.#open(model, loading.signal);
      if (loading.signal.aborted) engine.close();
      else this.#setEngine(engine);
    } catch (error) {
      if (!loading.signal.aborted) this.#fail(error, this.remedyFor(error));
    } finally {
      if (!loading.signal.aborted) this.#stage.hideLoading();
    }
  }

  async #open(model: CatalogueModel, signal: AbortSignal): Promise<Engine> {
    const threads = Number(this.#parameters.get("threads"));
    const backend = readBackend(this.#parameters.get("backend"));
    const isHere = this.#place === "device" && model.location !== null;
    if (isHere) this.#stage.showLoading(model.name, 0, 1);
    else this.#stage.hideLoading();
    return await openEngine(
      {
        model: isHere ? model.location : model.name,
        ...(this.#place === "device" ? {} : { transport: this.#place }),
        ...(threads >= 1 ? { threads } : {}),
        ...(backend === null ? {} : { backend }),
        onProgress: (loaded, total) => this.#stage.showLoading(model.name, loaded, total),
      },
      this.#settings(),
      {
        onState: (state) => this.#follow(state),
        onFrameError: (error) => this.#listener.onProblem(error, this.remedyFor(error)),
      },
      signal,
    );
  }

  #setEngine(engine: Engine | null): void {
    const former = this.#engine;
    this.#engine = engine;
    this.#connection = null;
    this.#listener.onEngine(engine);
    if (engine !== null) this.#setState("ready");
    former?.close();
  }

  /** What the connection to the server does. */
  #follow(state: RemoteState): void {
    this.#connection = state;
    if (state.kind === "waiting" || state.kind === "failed") {
      const isTriedAgain = state.kind === "waiting";
      const note = isTriedAgain ? "It is tried again by itself." : "";
      this.#isProblemOfConnection = true;
      this.#listener.onProblem(state.error, this.remedyFor(state.error, isTriedAgain), note);
    }
    if (state.kind === "ready" && this.#isProblemOfConnection) {
      this.#isProblemOfConnection = false;
      this.#stage.hideProblem();
      this.#listener.onMended();
    }
    this.#listener.onState();
  }

  #setState(state: Finder["state"]): void {
    this.#state = state;
    this.#listener.onState();
  }

  #fail(error: unknown, remedy: Remedy): void {
    this.#setState("failed");
    this.#listener.onProblem(error, remedy);
  }
}

/** What the address asks to have the model run on by `backend`; null: whatever is best. */
function readBackend(backend: string | null): Backend["name"] | null {
  const names = ["wasm", "webgpu", "webgl"] as const;
  return names.find((name) => name === backend) ?? null;
}
