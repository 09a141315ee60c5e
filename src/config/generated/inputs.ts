// Written by scripts/generate-config-types.mjs from the schemas of src/config. Do not edit.

export type TrainConfigInput = {
  /** architecture to train @default "simple-cnn" */
  model?: "simple-cnn" | "resnet18" | "resnet34" | "convnextv2_atto" | "convnextv2_femto" | "convnextv2_pico" | "convnextv2_nano" | "convnextv2_tiny" | "convnextv2_base" | undefined;
  /** simple-cnn: two linear layers after the last map (mlp, the default), or global average pooling and one */
  head?: "mlp" | "gap" | undefined;
  /** simple-cnn: normalisation after each convolution (default: none) */
  norm?: "none" | "batch" | undefined;
  /** simple-cnn: share that is dropped before the last layer */
  dropout?: number | undefined;
  /** resnet: 7x7 of stride 2 and a pool, or 3x3 of stride 1 (default: small below 64 pixels) */
  stem?: "imagenet" | "small" | undefined;
  /** resnet: channels of the first stage (default: 64) */
  width?: number | undefined;
  /** resnet: zero weights in the last norm of each block at the start */
  zeroInitLast?: boolean | undefined;
  /** convnextv2: side and stride of the stem (default: 4, and below 64 pixels a stem of stride 2) */
  patchSize?: 1 | 2 | 4 | undefined;
  /** convnextv2: a plain 2x2 stem of stride 2, in place of patchSize */
  stemStride?: 2 | undefined;
  /** convnextv2: stochastic depth of the last block */
  dropPath?: number | undefined;
  /** initial weights: a safetensors or torch.save file from torchvision, timm or transformers, a folder of transformers, a run or its checkpoint */
  weights?: string | undefined;
  /** with weights: key of the state dict in a checkpoint (keys joined by dots), or the common prefix of its names (default: the first of state_dict, model_state_dict, model, net ... that contains tensors) */
  weightsKey?: string | undefined;
  /** module path of the layer whose maps are guided (default: the last stage whose map has 7x7 cells or more) */
  camLayer?: string | undefined;
  /** images to train on; folder, csv, npz: your own, in dataDir @default "mnist" */
  dataset?: "mnist" | "fashion-mnist" | "decoy-mnist" | "decoy-fashion-mnist" | "color-mnist" | "folder" | "csv" | "npz" | undefined;
  /** folder with the data set's files, or a CSV or .npz file (default: the installed or cached copy) */
  dataDir?: string | undefined;
  /** decoy-mnist, decoy-fashion-mnist: rrr: 4x4 patches whose grey is random in the test images; cdep: 5x5 patches whose grey misleads there @default "rrr" */
  decoyVariant?: "rrr" | "cdep" | undefined;
  /** decoy-mnist, decoy-fashion-mnist, color-mnist, folder, csv: seed of the patches or colours, and of the draw of test images @default 0 */
  dataSeed?: number | undefined;
  /** folder, csv: height and width that images are resized to @default 64 */
  imageSize?: number | undefined;
  /** folder, csv: 1 for grey images, 3 for colour @default 3 */
  imageChannels?: 1 | 3 | undefined;
  /** folder, csv: how images are fitted to that size: crop, add margins, or distort @default "cover" */
  imageFit?: "cover" | "contain" | "fill" | undefined;
  /** folder, csv: share held out as the test split if there is no test/; each image is drawn by its path, so that adding an image does not move others, except in a class so small that none is drawn: it gives its image with the lowest hash, which an added image may replace @default 0.2 */
  testFraction?: number | undefined;
  /** folder, csv: whether files that cannot be read are an error or are left out @default "fail" */
  badImages?: "fail" | "skip" | undefined;
  /** folder, csv: follow links that leave the data set's folder, and links to folders @default false */
  followLinks?: boolean | undefined;
  /** number of training images held out, by seed, to choose the best epoch (approximate for your own images); the test split is never used for that (default: about a tenth, at most 5000) */
  valImages?: number | undefined;
  /** shuffle: each training image once in an epoch; balanced: drawn so that all classes are equally frequent @default "shuffle" */
  sampler?: "shuffle" | "balanced" | undefined;
  /** train on this many batches and validate on the same images, to check that a model can learn at all */
  overfitBatches?: number | undefined;
  /** mean and standard deviation that normalise the pixels: those of the training images, of ImageNet, or none (default: with weights, those of their run or folder, otherwise imagenet; without weights, data) */
  normalization?: "data" | "imagenet" | "none" | undefined;
  /** mean of the pixels in [0, 1], a number for each channel, instead of normalization */
  mean?: (number)[] | string | undefined;
  /** standard deviation of the pixels in [0, 1], a number for each channel */
  std?: (number)[] | string | undefined;
  /** use only the first N of the shuffled training images */
  limitTrain?: number | undefined;
  /** use only the first N test images */
  limitTest?: number | undefined;
  /** use only N validation images */
  limitVal?: number | undefined;
  /** end each epoch after this many steps; each epoch draws different images */
  limitTrainBatches?: number | undefined;
  /** largest shift of a training image along either axis, as a share of its side @default 0 */
  augShift?: number | undefined;
  /** largest rotation of a training image, in degrees @default 0 */
  augRotate?: number | undefined;
  /** largest change of a training image's size, as a share: 0.2 for 0.8 to 1.25 times @default 0 */
  augScale?: number | undefined;
  /** flip half of the training images horizontally @default false */
  augFlip?: boolean | undefined;
  /** share of the training images in which a rectangle is made grey @default 0 */
  augErase?: number | undefined;
  /** largest share of a training image's area that is cropped away; the rest, with an aspect ratio of 3:4 to 4:3, is resized to the full size @default 0 */
  augCrop?: number | undefined;
  /** magnitude of RandAugment, which draws operations for each image that move it or change its tones @default 0 */
  randAugment?: number | undefined;
  /** number of RandAugment operations for each image @default 2 */
  randAugmentOps?: number | undefined;
  /** largest change of a training image's brightness, as a share @default 0 */
  augBrightness?: number | undefined;
  /** passes over the training images @default 3 */
  epochs?: number | undefined;
  /** images per step @default 128 */
  batchSize?: number | undefined;
  /** optimizer @default "adam" */
  opt?: "adam" | "adamw" | "sgd" | undefined;
  /** learning rate @default 0.001 */
  lr?: number | undefined;
  /** sgd: share of the last update that the next one keeps @default 0.9 */
  momentum?: number | undefined;
  /** sgd: Nesterov momentum @default false */
  nesterov?: boolean | undefined;
  /** weight decay: decoupled in adamw, an L2 term in adam and sgd @default 0 */
  weightDecay?: number | undefined;
  /** learning-rate schedule over the whole run @default "constant" */
  sched?: "constant" | "cosine" | "onecycle" | undefined;
  /** cosine: learning rate at the end @default 0 */
  minLr?: number | undefined;
  /** steps over which the learning rate rises linearly to lr @default 0 */
  warmupSteps?: number | undefined;
  /** factor of the learning rate from each layer to the preceding one, for fine-tuning @default 1 */
  layerDecay?: number | undefined;
  /** apply the weight decay to normalisation layers and biases too @default false */
  decayNormAndBias?: boolean | undefined;
  /** number of batches whose gradients are accumulated for one step @default 1 */
  gradAccumSteps?: number | undefined;
  /** module paths, separated by commas, whose weights and running statistics are not changed */
  freeze?: string | undefined;
  /** evaluate and save a running average of the weights @default false */
  modelEma?: boolean | undefined;
  /** decay of the running average of the weights at each step @default 0.9998 */
  modelEmaDecay?: number | undefined;
  /** let the decay rise to its value over the first steps @default true */
  modelEmaWarmup?: boolean | undefined;
  /** balanced: the loss of an image is weighted by the inverse frequency of its class @default "none" */
  classWeights?: "none" | "balanced" | undefined;
  /** mix each image with another of its batch, in a proportion drawn from Beta(mixup, mixup); not with guidance, because a map would have two classes @default 0 */
  mixup?: number | undefined;
  /** share of the target that is distributed uniformly over all classes @default 0 */
  labelSmoothing?: number | undefined;
  /** largest norm of the gradient; a gradient with a larger norm is scaled down */
  clipGrad?: number | undefined;
  /** train without guidance, which is the same as setting both weights to 0 @default false */
  plain?: boolean | undefined;
  /** distance between a map and its prototype @default "ssim" */
  distance?: "ssim" | "l1" | "l2" | undefined;
  /** weight of the Prototype Loss (default: 0.5 for ssim, 2 for l1 and l2) */
  lambdaPrototype?: number | undefined;
  /** weight of the Batch-CAM Loss @default 0 */
  lambdaBatch?: number | undefined;
  /** steps over which the weights of the guidance rise linearly from 0 (default: a third of the run's steps, at most 150) */
  lambdaWarmup?: number | undefined;
  /** a published guidance method to compare with, used alone unless lambdaPrototype is given: input gradients off the masks (rrr), maps off the masks (rrr-g), maps on the object (hint), the same output without the less salient pixels (saliency-guided) */
  baseline?: "rrr" | "rrr-g" | "hint" | "saliency-guided" | undefined;
  /** weight of the baseline's term @default 1 */
  lambdaBaseline?: number | undefined;
  /** target that the Batch-CAM Loss compares the mean map of a class with @default "prototype" */
  batchTarget?: "prototype" | "batch-mean" | undefined;
  /** treat the batch mean as a constant in the gradient @default true */
  detachBatchMean?: boolean | undefined;
  /** second: the gradient flows through the channel weights too; first: they are treated as constants @default "second" */
  order?: "second" | "first" | undefined;
  /** added to max - min when a training map is normalised @default 0.01 */
  camEps?: number | undefined;
  /** how the prototype of a class is computed: a statistic of its images, or a running mean of its maps (cam-ema) @default "mean" */
  statistic?: "mean" | "median" | "trimmed" | "cam-ema" | undefined;
  /** the prototype that a map is guided to: that of its class; or, as controls, that of another class (shuffled), the mean of all classes (global), a uniform grey (constant), or that of images without the decoy (clean, for decoy sets) @default "class" */
  prototypes?: "class" | "shuffled" | "global" | "constant" | "clean" | undefined;
  /** share of the values that the trimmed mean discards at each end @default 0.1 */
  trim?: number | undefined;
  /** decay of the running mean of a cam-ema prototype at each step @default 0.99 */
  emaDecay?: number | undefined;
  /** seed of the weights, the shuffling and the validation split @default 0 */
  seed?: number | undefined;
  /** device to compute on; only the CPU is supported so far @default "auto" */
  device?: "auto" | "cpu" | undefined;
  /** bfloat16 autocast of the network; auto uses it if the processor computes in bfloat16 @default "auto" */
  amp?: "auto" | "on" | "off" | undefined;
  /** channels-last memory format of activations; auto uses it if the processor computes in bfloat16 @default "auto" */
  channelsLast?: "auto" | "on" | "off" | undefined;
  /** threads of the engine (default: the physical cores this process may use) */
  threads?: number | undefined;
  /** folder of the run directories @default "runs" */
  output?: string | undefined;
  /** name of the run directory (default: from model, data set, objective and seed) */
  experiment?: string | undefined;
  /** continue the run named by --experiment, or the run directory given @default false */
  resume?: boolean | string | undefined;
  /** with resume: continue although the images are not those that the run was started with @default false */
  acceptNewData?: boolean | undefined;
  /** first delete a run directory of the same name; without this an existing one is an error @default false */
  overwrite?: boolean | undefined;
  /** steps between checkpoints @default 200 */
  checkpointEvery?: number | undefined;
  /** also write a checkpoint when this many seconds have passed since the last */
  checkpointSeconds?: number | undefined;
  /** steps between logged rows of the metrics @default 20 */
  logEvery?: number | undefined;
  /** epochs between validations; the last epoch is validated in any case @default 1 */
  valInterval?: number | undefined;
  /** steps between reports of the size of each term's gradient; such a step takes an additional backward pass for each term */
  lossBalanceEvery?: number | undefined;
  /** run two steps and one batch of each split, in a separate folder, to check that everything works @default false */
  fastDevRun?: boolean | undefined;
  /** refuse to resume a run if its results would differ, because of other threads, kernels, precision or libtorch @default false */
  deterministic?: boolean | undefined;
  /** print where the time of a step is spent, and write profile.json and profile-trace.json @default false */
  profile?: boolean | undefined;
  /** number of steps that a profile records, after five warm-up steps @default 10 */
  profileSteps?: number | undefined;
  /** draw a figure of the maps after each epoch, and a report at the end @default true */
  figures?: boolean | undefined;
  /** also write the run for TensorBoard: every term, and the maps of each epoch @default false */
  tensorboard?: boolean | undefined;
  /** stop after this many steps */
  maxSteps?: number | undefined;
  /** stop after this much time in training steps */
  maxSeconds?: number | undefined;
  /** stop early: after this many epochs whose validation accuracy was no better than the best before */
  patience?: number | undefined;
  /** keep the weights of this many last epochs, in addition to best and last @default 0 */
  keepEpochs?: number | undefined;
};
