// Written by scripts/generate-config-types.mjs from the schemas of src/config. Do not edit.

export type TrainConfigInput = {
  /** architecture to train, or a model of your own: a .pt2 file (batch-cam export-recipe shows how to write it) @default "simple-cnn" */
  model?: "simple-cnn" | "resnet18" | "resnet34" | "convnextv2_atto" | "convnextv2_femto" | "convnextv2_pico" | "convnextv2_nano" | "convnextv2_tiny" | "convnextv2_base" | `${string}.pt2` | undefined;
  /** simple-cnn: classifier after the last map: two linear layers (mlp), or global average pooling and one linear layer (gap) (default: mlp) */
  head?: "mlp" | "gap" | undefined;
  /** simple-cnn: normalisation after each convolution (default: none) */
  norm?: "none" | "batch" | undefined;
  /** simple-cnn: dropout probability before the last layer */
  dropout?: number | undefined;
  /** resnet: imagenet: a 7x7 convolution of stride 2 and max pooling; small: a 3x3 convolution of stride 1 (default: small for images below 64 pixels) */
  stem?: "imagenet" | "small" | undefined;
  /** resnet: number of channels of the first stage (default: 64) */
  width?: number | undefined;
  /** resnet: initialise the last normalisation of each block with zero weights */
  zeroInitLast?: boolean | undefined;
  /** convnextv2: kernel size and stride of the stem convolution (default: 4; for images below 64 pixels, stemStride 2) */
  patchSize?: 1 | 2 | 4 | undefined;
  /** convnextv2: use a 2x2 stem convolution of stride 2 instead of patchSize */
  stemStride?: 2 | undefined;
  /** convnextv2: stochastic depth: probability that the last block is skipped; it rises linearly from 0 at the first block */
  dropPath?: number | undefined;
  /** pretrained weights to start from: a .safetensors file or a torch.save checkpoint from torchvision, timm or transformers, a transformers model folder, or a run directory or its checkpoint */
  weights?: string | undefined;
  /** with weights: where the state dict is inside the checkpoint: its key, nested keys joined by dots, or the common prefix of its tensor names (default: the first of state_dict, model_state_dict, model, net ... that contains tensors) */
  weightsKey?: string | undefined;
  /** module path of the target layer, whose maps are guided (default: the last stage with a map of 7x7 or more) */
  camLayer?: string | undefined;
  /** images to train on; with folder, csv, npz, dataDir names your own images @default "mnist" */
  dataset?: "mnist" | "fashion-mnist" | "decoy-mnist" | "decoy-fashion-mnist" | "color-mnist" | "folder" | "csv" | "npz" | undefined;
  /** folder with the data set's files, or the CSV or .npz file itself (default: the installed or cached copy of the data set) */
  dataDir?: string | undefined;
  /** decoy-mnist, decoy-fashion-mnist: rrr has 4x4 patches whose grey is random in the test images; cdep has 5x5 patches whose grey is misleading there @default "rrr" */
  decoyVariant?: "rrr" | "cdep" | undefined;
  /** decoy-mnist, decoy-fashion-mnist, color-mnist, folder, csv: seed of the decoy patches or colours, and of the choice of test images @default 0 */
  dataSeed?: number | undefined;
  /** folder, csv: height and width to which images are resized @default 64 */
  imageSize?: number | undefined;
  /** folder, csv: 1 for greyscale images, 3 for RGB @default 3 */
  imageChannels?: 1 | 3 | undefined;
  /** folder, csv: how images are fitted to that size: cropped (cover), padded (contain) or stretched (fill) @default "cover" */
  imageFit?: "cover" | "contain" | "fill" | undefined;
  /** folder, csv: fraction of the images held out as the test split if the data set has none; whether an image is held out depends only on its path, so adding images does not move others (if no image of a class is drawn, the one with the lowest hash is held out) @default 0.2 */
  testFraction?: number | undefined;
  /** folder, csv: stop at files that cannot be read, or skip them @default "fail" */
  badImages?: "fail" | "skip" | undefined;
  /** folder, csv: also follow symbolic links that lead to folders or out of the data set's folder @default false */
  followLinks?: boolean | undefined;
  /** number of training images held out as the validation split, on which the best epoch is chosen; approximate for your own images (default: about a tenth, at most 5000) */
  valImages?: number | undefined;
  /** shuffle: every training image once per epoch; balanced: images are drawn so that all classes are equally frequent @default "shuffle" */
  sampler?: "shuffle" | "balanced" | undefined;
  /** train and validate on the same N batches, to check that the model can learn at all */
  overfitBatches?: number | undefined;
  /** mean and standard deviation by which pixels are normalised: those of the training images, those of ImageNet, or none (default: data; if weights are given, the normalisation of their run or folder, or imagenet) */
  normalization?: "data" | "imagenet" | "none" | undefined;
  /** mean of the pixels in [0, 1], one number per channel, separated by commas; replaces normalization */
  mean?: (number)[] | string | undefined;
  /** standard deviation of the pixels in [0, 1], one number per channel */
  std?: (number)[] | string | undefined;
  /** use only the first N of the shuffled training images */
  limitTrain?: number | undefined;
  /** use only the first N test images */
  limitTest?: number | undefined;
  /** use only N validation images */
  limitVal?: number | undefined;
  /** end each epoch after N steps; the next epoch draws other images */
  limitTrainBatches?: number | undefined;
  /** largest random shift of a training image along each axis, as a fraction of its side @default 0 */
  augShift?: number | undefined;
  /** largest random rotation of a training image, in degrees @default 0 */
  augRotate?: number | undefined;
  /** largest random change of a training image's scale: 0.2 means between 0.8 and 1.25 times @default 0 */
  augScale?: number | undefined;
  /** mirror each training image left to right with probability 0.5 @default false */
  augFlip?: boolean | undefined;
  /** probability that a random rectangle of a training image is made grey @default 0 */
  augErase?: number | undefined;
  /** random resized crop: largest fraction of a training image's area that is cut away; the crop, of aspect ratio 3:4 to 4:3, is resized to the full size @default 0 */
  augCrop?: number | undefined;
  /** magnitude of RandAugment, which applies randomly chosen geometric and colour operations to each training image; 0 turns it off @default 0 */
  randAugment?: number | undefined;
  /** number of RandAugment operations applied to each image @default 2 */
  randAugmentOps?: number | undefined;
  /** largest random change of a training image's brightness, as a fraction @default 0 */
  augBrightness?: number | undefined;
  /** passes over the training images @default 3 */
  epochs?: number | undefined;
  /** images per batch @default 128 */
  batchSize?: number | undefined;
  /** optimizer @default "adam" */
  opt?: "adam" | "adamw" | "sgd" | undefined;
  /** learning rate @default 0.001 */
  lr?: number | undefined;
  /** sgd: fraction of the previous update that is added to the next @default 0.9 */
  momentum?: number | undefined;
  /** sgd: Nesterov momentum @default false */
  nesterov?: boolean | undefined;
  /** weight decay: decoupled for adamw, an L2 term of the loss for adam and sgd @default 0 */
  weightDecay?: number | undefined;
  /** learning-rate schedule over the whole run @default "constant" */
  sched?: "constant" | "cosine" | "onecycle" | undefined;
  /** cosine: learning rate at the end of the run @default 0 */
  minLr?: number | undefined;
  /** steps over which the learning rate rises linearly to lr @default 0 */
  warmupSteps?: number | undefined;
  /** for fine-tuning: each layer's learning rate is this factor times that of the layer after it @default 1 */
  layerDecay?: number | undefined;
  /** also apply weight decay to normalisation layers and biases @default false */
  decayNormAndBias?: boolean | undefined;
  /** number of batches whose gradients are accumulated for one optimizer step @default 1 */
  gradAccumSteps?: number | undefined;
  /** module paths, separated by commas, whose weights and running statistics are not trained */
  freeze?: string | undefined;
  /** keep an exponential moving average of the weights, and validate and save it instead of the weights themselves @default false */
  modelEma?: boolean | undefined;
  /** decay of the moving average of the weights @default 0.9998 */
  modelEmaDecay?: number | undefined;
  /** raise the decay to its value over the first steps @default true */
  modelEmaWarmup?: boolean | undefined;
  /** balanced: weight each image's loss by the inverse frequency of its class @default "none" */
  classWeights?: "none" | "balanced" | undefined;
  /** mix each image with another of its batch, in a proportion drawn from Beta(mixup, mixup); only without guidance, because a mixed image's map would have two classes @default 0 */
  mixup?: number | undefined;
  /** fraction of the target probability that is spread evenly over all classes @default 0 */
  labelSmoothing?: number | undefined;
  /** largest norm of the gradient; a larger gradient is scaled down to it */
  clipGrad?: number | undefined;
  /** train without guidance; the same as setting lambdaPrototype and lambdaBatch to 0 @default false */
  plain?: boolean | undefined;
  /** distance between a map and its class's prototype @default "ssim" */
  distance?: "ssim" | "l1" | "l2" | undefined;
  /** weight of the Prototype Loss, the distance of each map from its class's prototype (default: 0.5 for ssim, 2 for l1 and l2) */
  lambdaPrototype?: number | undefined;
  /** weight of the Batch-CAM Loss, the distance between each class's mean map in the batch and its prototype (but see batchTarget) @default 0 */
  lambdaBatch?: number | undefined;
  /** steps over which both guidance weights rise linearly from 0 (default: a third of the run's steps, at most 150) */
  lambdaWarmup?: number | undefined;
  /** train with a published guidance method for comparison; it replaces the Prototype Loss unless lambdaPrototype is given: penalises input gradients inside the masks (rrr), penalises map values inside the masks (rrr-g), rewards map values outside the masks, on the object (hint), asks for the same output when the less salient pixels are hidden (saliency-guided) */
  baseline?: "rrr" | "rrr-g" | "hint" | "saliency-guided" | undefined;
  /** weight of the baseline's loss @default 1 */
  lambdaBaseline?: number | undefined;
  /** prototype: the Batch-CAM Loss compares each class's mean map in the batch with its prototype; batch-mean: it compares each map with its class's mean map in the batch @default "prototype" */
  batchTarget?: "prototype" | "batch-mean" | undefined;
  /** treat the batch mean as a constant, through which no gradient flows @default true */
  detachBatchMean?: boolean | undefined;
  /** second: the loss's gradient also flows through the channel weights of the maps; first: they are treated as constants, which is cheaper @default "second" */
  order?: "second" | "first" | undefined;
  /** guide the maps at every Nth step, with N times the weight; the other steps cost as much as plain ones (auto: 1, or 2 or 4 if much of the network is behind the target layer, so that guidance adds about a tenth to the time of training; 1 in short runs, and with a baseline) @default "auto" */
  guideEvery?: "auto" | number | undefined;
  /** fraction of each batch whose maps are guided; the other images take part in the cross-entropy alone @default 1 */
  guideShare?: number | undefined;
  /** constant added to max - min when a training map is normalised @default 0.01 */
  camEps?: number | undefined;
  /** how a class's prototype is computed: the mean, median or trimmed mean of its images, or a running mean of its maps (cam-ema) @default "mean" */
  statistic?: "mean" | "median" | "trimmed" | "cam-ema" | undefined;
  /** prototype that a map is guided to: that of its own class (class) or, as a control, that of another class (shuffled), the mean of all classes (global), a uniform grey (constant), or that of its class without the decoy patch (clean, for decoy data sets) @default "class" */
  prototypes?: "class" | "shuffled" | "global" | "constant" | "clean" | undefined;
  /** fraction of the values that the trimmed mean leaves out at each end @default 0.1 */
  trim?: number | undefined;
  /** decay of the running mean that cam-ema uses @default 0.99 */
  emaDecay?: number | undefined;
  /** seed of the initial weights, the shuffling and the validation split @default 0 */
  seed?: number | undefined;
  /** device to compute on; this version supports only the CPU @default "auto" */
  device?: "auto" | "cpu" | undefined;
  /** run the network in bfloat16 (autocast); auto: if the processor has bfloat16 instructions and, in runs of 200 steps or more, steps of this network measured faster @default "auto" */
  amp?: "auto" | "on" | "off" | undefined;
  /** store activations in channels-last memory format; auto: if the processor has bfloat16 instructions, or as measured with amp auto @default "auto" */
  channelsLast?: "auto" | "on" | "off" | undefined;
  /** threads of the engine (default: the physical cores this process may use) */
  threads?: number | undefined;
  /** folder in which the run directory is created @default "runs" */
  output?: string | undefined;
  /** name of the run directory (default: made from the model, data set, objective and seed) */
  experiment?: string | undefined;
  /** continue an interrupted run: the one named by --experiment, or the given run directory @default false */
  resume?: boolean | string | undefined;
  /** with --resume: continue even if the images differ from those that the run started with @default false */
  acceptNewData?: boolean | undefined;
  /** delete an existing run directory of the same name first; without this option, training refuses to start @default false */
  overwrite?: boolean | undefined;
  /** steps between checkpoints @default 200 */
  checkpointEvery?: number | undefined;
  /** also write a checkpoint if this many seconds have passed since the last one */
  checkpointSeconds?: number | undefined;
  /** steps between rows of the metrics log @default 20 */
  logEvery?: number | undefined;
  /** epochs between validations; the last epoch is always validated @default 1 */
  valInterval?: number | undefined;
  /** steps between reports of the size of each loss term's gradient; such a step costs one more backward pass per term */
  lossBalanceEvery?: number | undefined;
  /** train two steps and evaluate one batch of each split, in a separate folder, to check that everything works @default false */
  fastDevRun?: boolean | undefined;
  /** refuse to resume a run if its numbers would change because the threads, kernels, precision or libtorch differ @default false */
  deterministic?: boolean | undefined;
  /** print how the time of a step is spent, and write profile.json and profile-trace.json @default false */
  profile?: boolean | undefined;
  /** number of steps that the profile records, after five warm-up steps; rounded up to a multiple of guideEvery @default 10 */
  profileSteps?: number | undefined;
  /** draw a figure of the maps after each epoch, and write report.html at the end @default true */
  figures?: boolean | undefined;
  /** also write TensorBoard event files: every loss term, and the maps of each epoch @default false */
  tensorboard?: boolean | undefined;
  /** stop after this many steps */
  maxSteps?: number | undefined;
  /** stop when the training steps have taken this many seconds */
  maxSeconds?: number | undefined;
  /** early stopping: stop after this many epochs without a better validation accuracy */
  patience?: number | undefined;
  /** also keep the weights of the last N epochs, besides the best and the last @default 0 */
  keepEpochs?: number | undefined;
};
