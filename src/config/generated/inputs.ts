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
  /** weights to start from: safetensors or a file of torch.save of torchvision, timm or transformers, a folder of transformers, a run or its checkpoint */
  weights?: string | undefined;
  /** with weights: key of the state dict in a checkpoint, keys joined by dots, or what the names begin with (default: the first of state_dict, model_state_dict, model, net ... that holds tensors) */
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
  /** training images held out, by seed, to choose the best epoch, of your own about so many; the test split is never used for that (default: about a tenth, at most 5000) */
  valImages?: number | undefined;
  /** each training image once an epoch, or drawn so that all classes come equally often @default "shuffle" */
  sampler?: "shuffle" | "balanced" | undefined;
  /** to see that a model can learn at all: train on this many batches, and validate on the same images */
  overfitBatches?: number | undefined;
  /** mean and deviation that pixels are normalised by: the training images', ImageNet's, or none (default: with weights those of their run or folder, else imagenet; data without weights) */
  normalization?: "data" | "imagenet" | "none" | undefined;
  /** mean of the pixels in [0, 1], a number for each channel, in place of normalization */
  mean?: (number)[] | string | undefined;
  /** deviation of the pixels in [0, 1], a number for each channel */
  std?: (number)[] | string | undefined;
  /** use only the first N of the shuffled training images */
  limitTrain?: number | undefined;
  /** use only the first N test images */
  limitTest?: number | undefined;
  /** use only N validation images */
  limitVal?: number | undefined;
  /** end each epoch after this many steps; the next one draws other images */
  limitTrainBatches?: number | undefined;
  /** largest shift of a training image along either axis, as a share of its side @default 0 */
  augShift?: number | undefined;
  /** largest turn of a training image, in degrees @default 0 */
  augRotate?: number | undefined;
  /** largest change of a training image's size, as a share: 0.2 for 0.8 to 1.25 times @default 0 */
  augScale?: number | undefined;
  /** mirror half the training images, left to right @default false */
  augFlip?: boolean | undefined;
  /** share of the training images of which a rectangle is made grey @default 0 */
  augErase?: number | undefined;
  /** largest share of a training image's area that is cut away; the rest, of 3:4 to 4:3, is brought to the full size @default 0 */
  augCrop?: number | undefined;
  /** magnitude of RandAugment: operations drawn for each image, moving it or changing its shades @default 0 */
  randAugment?: number | undefined;
  /** operations of RandAugment for each image @default 2 */
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
  /** factor of the learning rate from each layer to the one before it, for fine-tuning @default 1 */
  layerDecay?: number | undefined;
  /** let the weight decay act on norms and biases too @default false */
  decayNormAndBias?: boolean | undefined;
  /** batches whose gradients are added up for one step @default 1 */
  gradAccumSteps?: number | undefined;
  /** module paths, separated by commas, whose weights and running statistics stay as they are */
  freeze?: string | undefined;
  /** judge and keep a running average of the weights @default false */
  modelEma?: boolean | undefined;
  /** share that the average of the weights keeps at each step @default 0.9998 */
  modelEmaDecay?: number | undefined;
  /** let that share rise to its value over the first steps @default true */
  modelEmaWarmup?: boolean | undefined;
  /** balanced: the loss of an image weighs the less, the more images its class has @default "none" */
  classWeights?: "none" | "balanced" | undefined;
  /** mix each image with another of its batch, by a share drawn from Beta(mixup, mixup); only without maps, which would have two classes @default 0 */
  mixup?: number | undefined;
  /** share of the target spread evenly over all classes @default 0 */
  labelSmoothing?: number | undefined;
  /** largest norm of the gradient; a larger one is scaled down to it */
  clipGrad?: number | undefined;
  /** train without guidance: short for both weights 0 @default false */
  plain?: boolean | undefined;
  /** distance between a map and its prototype @default "ssim" */
  distance?: "ssim" | "l1" | "l2" | undefined;
  /** weight of the Prototype Loss (default: 0.5 for ssim, 2 for l1 and l2) */
  lambdaPrototype?: number | undefined;
  /** weight of the Batch-CAM Loss @default 0 */
  lambdaBatch?: number | undefined;
  /** steps over which the weights of the guidance rise linearly from 0 (default: a third of the run's steps, at most 150) */
  lambdaWarmup?: number | undefined;
  /** a published way to guide, to compare with, by itself unless lambdaPrototype is given: input gradients off the masks (rrr), maps off the masks (rrr-g), maps on the object (hint), the same output without the less salient pixels (saliency-guided) */
  baseline?: "rrr" | "rrr-g" | "hint" | "saliency-guided" | undefined;
  /** weight of the baseline's term @default 1 */
  lambdaBaseline?: number | undefined;
  /** what the Batch-CAM Loss compares a class's maps with @default "prototype" */
  batchTarget?: "prototype" | "batch-mean" | undefined;
  /** treat the batch mean as a constant @default true */
  detachBatchMean?: boolean | undefined;
  /** let the gradient flow through the channel weights too, or treat them as constants @default "second" */
  order?: "second" | "first" | undefined;
  /** added to max - min when a training map is normalised @default 0.01 */
  camEps?: number | undefined;
  /** what a class's prototype is: a statistic of its images, or a running mean of its maps @default "mean" */
  statistic?: "mean" | "median" | "trimmed" | "cam-ema" | undefined;
  /** whose image a map is pulled to: its class's; or, as controls, that of another class (shuffled), the mean of all (global), an even grey (constant), or that of images without the decoy (clean, decoy sets) @default "class" */
  prototypes?: "class" | "shuffled" | "global" | "constant" | "clean" | undefined;
  /** share cut from each end by the trimmed mean @default 0.1 */
  trim?: number | undefined;
  /** share that a cam-ema prototype keeps at each step @default 0.99 */
  emaDecay?: number | undefined;
  /** seed of the weights, the shuffling and the validation split @default 0 */
  seed?: number | undefined;
  /** where to compute: there is only the CPU yet @default "auto" */
  device?: "auto" | "cpu" | undefined;
  /** bfloat16 autocast of the network; auto where the processor computes in bfloat16 @default "auto" */
  amp?: "auto" | "on" | "off" | undefined;
  /** lay activations out channels last; auto where the processor computes in bfloat16 @default "auto" */
  channelsLast?: "auto" | "on" | "off" | undefined;
  /** threads of the engine (default: the physical cores this process may use) */
  threads?: number | undefined;
  /** folder that holds the run directories @default "runs" */
  output?: string | undefined;
  /** name of the run directory (default: from model, data set, objective and seed) */
  experiment?: string | undefined;
  /** continue the run named by --experiment, or the run directory given @default false */
  resume?: boolean | string | undefined;
  /** with resume: go on although the images are not those that the run was begun with @default false */
  acceptNewData?: boolean | undefined;
  /** delete a run directory of the same name first; without it an existing one is refused @default false */
  overwrite?: boolean | undefined;
  /** steps between checkpoints @default 200 */
  checkpointEvery?: number | undefined;
  /** also write a checkpoint when this many seconds have passed since the last */
  checkpointSeconds?: number | undefined;
  /** steps between logged rows of the metrics @default 20 */
  logEvery?: number | undefined;
  /** epochs between validations; the last epoch is validated in any case @default 1 */
  valInterval?: number | undefined;
  /** steps between reports of how large each term's gradient is; such a step costs a backward pass a term more */
  lossBalanceEvery?: number | undefined;
  /** two steps and one batch of each split, into a folder of its own, to see that everything works @default false */
  fastDevRun?: boolean | undefined;
  /** refuse to go on with a run where its numbers would come out otherwise: other threads, kernels, precision or libtorch @default false */
  deterministic?: boolean | undefined;
  /** print where the time of a step goes, and write profile.json and profile-trace.json @default false */
  profile?: boolean | undefined;
  /** steps that a profile records, after five of warm-up @default 10 */
  profileSteps?: number | undefined;
  /** draw a figure of the maps after each epoch, and a report at the end @default true */
  figures?: boolean | undefined;
  /** write the run for TensorBoard too: every term, the maps of each epoch @default false */
  tensorboard?: boolean | undefined;
  /** stop after this many steps */
  maxSteps?: number | undefined;
  /** stop after this much time in training steps */
  maxSeconds?: number | undefined;
  /** stop early: after this many epochs whose validation accuracy was no better than the best before */
  patience?: number | undefined;
  /** keep the weights of this many last epochs, beside best and last @default 0 */
  keepEpochs?: number | undefined;
};
