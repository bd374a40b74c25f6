/** A checkpoint: an address, a file, or its bytes. */
export type Source = string | URL | Blob | ArrayBuffer | Uint8Array;

/** A class of the browser's, where the caller's libraries declare it: a page has no `OffscreenCanvas` in old ones, a worker no elements. */
type Browser<Name extends string> = typeof globalThis extends Record<Name, { prototype: infer Instance }> ? Instance : never;

/**
 * An image. A `Float32Array` is taken as it is: CHW, in [0, 1], of the network's channels and side; numbers outside are refused. Pictures are brought
 * to that as `lapidary classify` does it, in the worker: turned upright, what is transparent laid on white, grey by luma
 * where the network has one channel, then fitted into the square as `about.fit` says. Of what is stored without loss in
 * 8 bits and is opaque the numbers are the program's; browsers decode JPEG and 16 bits with other rounding, and what is
 * partly transparent to a step of 1 in 255.
 */
export type Image =
  | Float32Array
  | Blob
  | Browser<'ImageData'>
  | Browser<'ImageBitmap'>
  | Browser<'HTMLCanvasElement'>
  | Browser<'OffscreenCanvas'>
  | Browser<'HTMLImageElement'>
  | Browser<'HTMLVideoElement'>;

/** How far loading or the self-test (`doctor`) is. The phase `weights` comes with bytes, `doctor` with counts. */
export interface Progress {
  phase: 'device' | 'weights' | 'upload' | 'doctor';
  loaded?: number;
  /** Bytes of the whole file; unknown where the server does not say it. */
  total?: number;
  /** Whether the weights came from the browser's cache. */
  cached?: boolean;
  done?: number;
  row?: Check;
}

export interface Abortable {
  /** Rejects the promise with the signal's reason; the GPU stops at its next submission, about 100 ms later. */
  signal?: AbortSignal;
}

/** How far the measuring of kernels is, of which the fastest right ones are taken. */
export interface Tuning {
  /** Shapes of the network's layers that are measured, of `total`. */
  done: number;
  total: number;
  /** Shapes measured on this device since it was opened. */
  answered: number;
  /** Kernels that fail or give wrong results on this device, and why: they are not used. */
  dropped: string[];
}

/**
 * Options with a misspelt name are refused, here and in every call but `toCanvas` and `toBlob`. `device`, `tune` and `tuningBudget` are of a device: where `beside` shares
 * one, they are the first network's, and others are refused.
 */
export interface LoadOptions extends Abortable {
  /** Which of two GPUs to ask the browser for. Default: the faster. */
  device?: 'high-performance' | 'low-power';
  /**
   * Whether a network's first call measures the candidate kernels for its layers, and takes the fastest that
   * compute the right thing. `auto`, the default: on GPUs, and not where the browser falls back to a CPU. What was measured is
   * kept in the browser's cache. `off`: the same bits on every visit.
   */
  tune?: 'auto' | 'on' | 'off';
  /** The seconds that a visit may spend on measuring; the rest is measured on the next one. Default: 3. */
  tuningBudget?: number;
  /** All numbers are f32. */
  precision?: 'f32';
  /** Rows and columns of the images where the file does not say it; another than the file's own is refused. */
  side?: number;
  /** SHA-256 of the whole file, in hexadecimal digits: a file with another one is refused. Looked at in secure contexts, which WebGPU needs anyway. */
  sha256?: string;
  /** Whether to keep the file of an address in the browser's cache. Default: true. */
  cache?: boolean;
  /** Whether to run in a module worker, which keeps the page smooth. Default: true; with `beside`, where that network runs. */
  worker?: boolean;
  /** A network whose worker and device to share. */
  beside?: Lapidary;
  onProgress?(progress: Progress): void;
  /** Called when the device was lost. After the first loss it is opened again and work goes on from host copies; a second one fails. */
  onLost?(lost: { losses: number; message: string }): void;
  /** Called about ten times a second while kernels are measured. */
  onTuning?(tuning: Tuning): void;
}

/**
 * Loads a safetensors checkpoint and opens the GPU: of a wide residual network, a ResNet (a pre-activation one too), a ConvNeXt, or
 * a list of layers, as `lapidary convert` writes it of an ONNX file. Errors have a
 * `name`: `NoWebGPU`, `InsecureContext`, `NoAdapter`, `MissingLimit`, `OutOfMemory`, `DeviceLost`, `BadFile`,
 * `BadPicture`, `NotFinite` (the network overflows), `Diverged` (training did), `Mismatch`, `RangeError`, `GpuError`, `Bug`
 * (report it), and `InvalidStateError` for all that is asked of a network after it was disposed of.
 */
export function load(source: Source, options?: LoadOptions): Promise<Lapidary>;

/** What is known of a network. */
export interface About {
  name: string;
  architecture: string;
  activation: string;
  parameters: number;
  channels: number;
  classes: number;
  /** The names of the classes, from the file's metadata; numbers where it has none. */
  classNames: string[];
  side: number;
  /** How pictures of other shapes come into the square. */
  fit: 'crop' | 'letterbox' | 'stretch';
  preset: string | null;
  step: number | null;
  weightBytes: number;
  fileBytes: number;
  sha256?: string;
}

/** What the browser gives of its adapter through wgpu. */
export interface Adapter {
  name: string;
  driver: string;
  backend: string;
  f16: boolean;
  subgroup: number | null;
  timestamps: boolean;
  maxBinding: number;
  maxBuffer: number;
  storageBuffers: number;
}

/** One network's reading of one image. */
export interface Reading {
  class: number;
  className: string;
  /** The most probable classes, the first one first: 5, or `topK`. */
  top: { class: number; label: string; score: number }[];
  logits: Float32Array;
  /** softmax of the logits. */
  probabilities: Float32Array;
  /** E(x) = -logsumexp f(x). */
  energy: number;
  /** E(x, y) = -f(x)[y] for each class y. */
  jointEnergies: Float32Array;
  /** The image as the network took it. */
  image: Float32Array;
}

export interface ClassifyOptions extends Abortable {
  /** The number of most probable classes that `Reading.top` has. Default: 5. */
  topK?: number;
}

export interface Energies {
  /** E(x). */
  marginal: number;
  /** E(x, y) by class. */
  joint: Float32Array;
}

/** The images before step `step + 1`. */
export interface Step {
  step: number;
  steps: number;
  /** NCHW, in [0, 1]. */
  images: Float32Array;
}

export interface SampleStep extends Step {
  /** E(x, y) of each image for its class. */
  energies: Float32Array;
}

export interface AttackStep extends Step {
  /** The value that the steps raise, of each image: its class's logit in `explain`, its loss in `attack`. */
  value: Float32Array;
}

export interface SampleOptions extends Abortable {
  /** The class of each image, 1 to 64 of them. */
  classes: number[];
  /** Seed of the random fields that sampling starts from, the same as those of `lapidary sample --seed`. Default: 0; none with `start`. */
  seed?: number;
  /** Default: 20. */
  steps?: number;
  /** L2 length of a step. Default: 0.8. */
  stepSize?: number;
  /** An image for all, or the numbers of one for each class behind each other, instead of random fields. */
  start?: Image;
  /** Told of every step, which then costs a read-back each. */
  onStep?(step: SampleStep): void;
}

/** What a step costs on the device. */
export interface Plan {
  dispatches: number;
  flops: number;
  trafficBytes: number;
  inputBytes: number;
  sharedBytes: number;
}

export interface Sampled {
  images: Float32Array;
  logits: Float32Array;
  energies: Float32Array;
  msPerStep: number | undefined;
  /** None without a step. */
  plan: Plan | undefined;
}

export interface BallOptions extends Abortable {
  /** Radius of the ball around the image. */
  eps?: number;
  norm?: 'l2' | 'linf';
  /** Default: 20. */
  steps?: number;
  /** Default: 2.5 eps / steps. */
  stepSize?: number;
  onStep?(step: AttackStep): void;
}

/** One class for all images, or a list with one for each. */
export type Classes = number | number[] | Uint32Array;

export interface AttackOptions extends BallOptions {
  /** The class to lead away from. Default: the one the network sees. */
  label?: Classes;
  /** A class to lead to instead: with it, `label` is refused. */
  target?: Classes;
}

export interface TrainOptions extends Abortable {
  /** A handful of pictures a class is enough to see something: up to 10,000 in all. */
  images: Image[];
  /** The class of each picture, a number from 0. */
  labels: ArrayLike<number>;
  /**
   * Names of the classes in the order of `labels`, or their number. Other names than the network's, or the same in another order, and another
   * number make its last layer anew, which `Trained.newHead` tells. Default: the network's.
   */
  classes?: string[] | number;
  /** Default: 200. */
  steps?: number;
  /**
   * `dat`, the default, trains on attacked images and contrasts real ones with images that gradient steps made: what is drawn
   * afterwards is of the new classes. `at` trains on attacked images alone, in less than half the time. Both leave
   * the running statistics of batch normalisation as they are.
   */
  objective?: 'dat' | 'at';
  /** Images of each kind in a step, 1 to 256. Default: 16. */
  batch?: number;
  /** Rises over the first twentieth of the steps, and falls to 0 over the last two fifths. Default: 0.01. */
  learningRate?: number;
  /** Radius of the ball of the attack. Default: 0.5. */
  eps?: number;
  norm?: 'l2' | 'linf';
  /** With the objective `dat` alone: the most steps that a contrastive image takes; it begins with 2, and takes more as the network tells them apart. Default: 8. */
  contrastiveSteps?: number;
  /** With the objective `dat` alone: L2 length of a contrastive image's step. Default: 0.8. */
  stepSize?: number;
  /** Shifts and mirrors pictures at random, only mirrors them, or takes them as they are. Default: `crop-flip`. */
  augment?: 'crop-flip' | 'centre' | 'none';
  /** Seed of all random numbers. Default: 0. */
  seed?: number;
  /** Told of every step. After a loss of the device the last steps come once more. */
  onStep?(step: TrainStep): void;
  /** Ends training after the step that runs, and keeps what was learnt; `signal` throws it away. */
  finish?: AbortSignal;
}

export interface TrainStep {
  /** From 1. */
  step: number;
  steps: number;
  loss: number;
  /** The cross-entropy of the batch's attacked images. */
  crossEntropy: number;
  /** The share of the batch's attacked images that were classified correctly. */
  accuracy: number;
  /** With the objective `dat`: the binary cross-entropy of real and contrastive images. */
  contrast?: number;
  /** With the objective `dat`: how well the logits of their classes tell real from contrastive images, ½ to 1. */
  auc?: number;
  /** With the objective `dat`: the steps that the contrastive images took. */
  contrastiveSteps?: number;
}

export interface Trained {
  /** Steps that were taken. */
  steps: number;
  /** Whether the last layer was made anew, as the classes were others than the network's: `accuracyBefore` is then that of chance. */
  newHead: boolean;
  /** The share of the given pictures, before an attack, that are classified correctly. */
  accuracyBefore: number;
  accuracyAfter: number;
  msPerStep: number | undefined;
}

export interface Layout {
  channels: number;
  side: number;
}

export interface CanvasOptions {
  /** How much larger than the image. Default: 1. */
  scale?: number;
  /** Whether pixels run into each other where they are enlarged. Default: false. */
  smooth?: boolean;
  /** Of several images: how many stand in a row. Default: about as many as there are rows. */
  columns?: number;
  /** What to draw on. Default: a new one, in a worker an `OffscreenCanvas`. */
  canvas?: Browser<'HTMLCanvasElement'> | Browser<'OffscreenCanvas'>;
}

export interface BlobOptions extends CanvasOptions {
  /** Default: `image/png`. A type that the browser cannot write is refused. */
  type?: string;
  /** From 0 to 1, for types with loss. */
  quality?: number;
}

/** Images as numbers, CHW behind each other, as a page shows them: below 0 is black, above 1 full; networks have the same as methods. */
export function toImageData(image: Float32Array, layout: Layout): Browser<'ImageData'>;
export function toCanvas(images: Float32Array, options: Layout & CanvasOptions): Browser<'HTMLCanvasElement'> | Browser<'OffscreenCanvas'>;
export function toBlob(images: Float32Array, options: Layout & BlobOptions): Promise<Blob>;

export interface Changed {
  before: Reading;
  after: Reading;
  image: Float32Array;
  difference: Float32Array;
  /** The distance of the changed image from the given one, in the ball's norm. */
  distance: number;
  msPerStep: number | undefined;
}

export interface Check {
  name: string;
  way: 'as built' | 'rewritten';
  good: boolean;
  worst: string;
}

export interface Status {
  version: string;
  precision: 'f32';
  adapter?: Adapter;
  /** Networks on the device. */
  networks: number;
  counts?: { buffers: number; pipelines: number; bindGroups: number; readbacks: number; submissions: number; bytes: number };
  weightBytes: number;
  losses: number;
  /** Where kernels were measured. */
  tuning?: Tuning;
  /** Median of the last 50 steps. */
  msPerStep: number | undefined;
}

/** A tiny network that classifies points of the unit square, trained with the losses of `train`'s objective `dat`. */
export interface Toy {
  /** `points` are x and y of each, in [0, 1]; `labels` are below the model's `classes`. */
  train(points: ArrayLike<number>, labels: ArrayLike<number>, options?: { steps?: number; learningRate?: number }): Promise<{
    bce: number;
    ce: number;
    steps: number;
    contrastive: Float32Array;
  }>;
  /** Logits over the square, row by row, as many rows as columns. */
  map(): Promise<Float32Array>;
  free(): Promise<void>;
}

/**
 * A network on the visitor's GPU. Calls take turns of about 100 ms on the device, so a long run keeps nobody waiting.
 * Where an image is taken a list of up to 64 is too, and a list of answers comes back.
 */
export interface Lapidary {
  /** What is known of the network; `train` replaces it. */
  readonly about: About;
  readonly adapter: Adapter;
  /** The GPUDevice, for pages that draw with it; only with `worker: false`, as workers cannot hand theirs over. */
  readonly device: Browser<'GPUDevice'> | undefined;
  /** Whether `dispose` was called: all that is asked from then on is refused. */
  readonly disposed: boolean;
  /** Gradient steps up f(x)[y] from random fields: images of classes. */
  sample(options: SampleOptions): Promise<Sampled>;
  classify(image: Image, options?: ClassifyOptions): Promise<Reading>;
  classify(images: Image[], options?: ClassifyOptions): Promise<Reading[]>;
  energy(image: Image, options?: Abortable): Promise<Energies>;
  energy(images: Image[], options?: Abortable): Promise<Energies[]>;
  /** K logits for each image, NCHW. */
  logits(images: Float32Array, options?: Abortable): Promise<Float32Array>;
  /** A counterfactual: steps up f(x)[target] within a ball, 4 in L2 unless told otherwise. */
  explain(image: Image, target: Classes, options?: BallOptions): Promise<Changed>;
  explain(images: Image[], target: Classes, options?: BallOptions): Promise<Changed[]>;
  /** Steps up the cross-entropy within a ball, 0.5 in L2 unless told otherwise. */
  attack(image: Image, options?: AttackOptions): Promise<Changed>;
  attack(images: Image[], options?: AttackOptions): Promise<Changed[]>;
  /**
   * Trains the network on pictures of the caller's. Calls in between answer with the weights from before; where it ends, this
   * network has the new ones, and `about` its new classes. Aborted or failed, all stays as it was.
   */
  train(options: TrainOptions): Promise<Trained>;
  /** The network as a file that `lapidary` and `load` read: as it was loaded, or with what was learnt since. */
  save(): Promise<Blob>;
  toImageData(image: Float32Array): Browser<'ImageData'>;
  toCanvas(images: Float32Array, options?: CanvasOptions): Browser<'HTMLCanvasElement'> | Browser<'OffscreenCanvas'>;
  toBlob(images: Float32Array, options?: BlobOptions): Promise<Blob>;
  /** The random fields that sampling starts from. */
  starts(seed: number, count: number): Promise<Float32Array>;
  /** Reference cases from PyTorch: are this GPU's numbers right? */
  doctor(options?: Abortable & { onProgress?(progress: Progress): void }): Promise<{ good: boolean; rows: Check[] }>;
  status(): Promise<Status>;
  /** GPU time of each launch of a sampling step, in ms, where the adapter has timestamps. */
  profile(options?: { batch?: number; repetitions?: number }): Promise<[kernel: string, milliseconds: number][]>;
  toy(options?: { classes?: number; seed?: number }): Promise<Toy>;
  /** Destroys the device, as a driver's reset would: for tests. */
  loseDevice(): Promise<void>;
  /** Stops what the network is doing, frees it, and with the last one worker and device. */
  dispose(): Promise<void>;
}

export function readWeights(
  source: Source,
  options?: Abortable & { sha256?: string; cache?: boolean; onProgress?(progress: Progress): void },
): Promise<{ bytes: Uint8Array; name: string; sha256: string | undefined }>;
