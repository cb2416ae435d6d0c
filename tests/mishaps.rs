//! Everything that can be wrong with what the program is given, a line a situation: it says so in one line that names the
//! cause, with the exit code of its kind, in time, and leaves the rows of the results file as they were.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The exit code, the arguments, and what must be said. `@out` is a results file with a row.
type Mishap = (i32, &'static str, &'static str);

/// What can be wrong with the flags of the mathematics and of reports.
const WORKBENCH: &[Mishap] = &[
    (2, "", "Usage"),
    (2, "no-such-command", "unrecognized subcommand"),
    (2, "design", "--degrees"),
    (2, "design --degrees 4", "degree 4 is even"),
    (2, "design --degrees 1", "degree 1"),
    (2, "design --degrees 129", "degree 129"),
    (2, "design --degrees 99999999999", "list of odd degrees"),
    (2, "design --degrees 3,,5", "list of odd degrees"),
    (2, "design --degrees 3,3,3,3,3,3,3,3,3", "9 stages"),
    (2, "design --degrees 3 --degrees 5", "cannot be used multiple times"),
    (2, "design --degrees 3 --epsilon 0", "epsilon"),
    (2, "design --degrees 3 --epsilon nan", "epsilon"),
    (2, "design --alpha 15", "4 to 14"),
    (2, "design --alpha 9 --epsilon 0.1", "cannot be used with"),
    (2, "design --degrees 3 --precision 63", "--precision: 63 bits"),
    (2, "design --degrees 3 --precision 99999999", "from 64 to 65536"),
    (2, "design --degrees 3 --precision -1", "invalid value '-1' for '--precision"),
    (2, "design --degrees 3 --format xml", "invalid value 'xml' for '--format"),
    (2, "design --degrees 3 --costs seal", "invalid value 'seal' for '--costs"),
    (2, "design --degrees 3 --plot figure.pdf", "must end with .svg or .png"),
    (1, "design --degrees 3 --plot no/such/figure.svg", "--plot no/such/figure.svg: No such file"),
    (1, "design --degrees 3 --out no/such/file", "--out no/such/file: No such file"),
    (1, "design --degrees 3 --out .", "--out .: Is a directory"),
    (1, "design --degrees 3 --out /dev/full", "--out /dev/full: No space left"),
    (2, "design --function swish --degree 5 --interval 0,1", "known are"),
    (2, "design --function silu --degree 0 --interval 0,1", "1..=127"),
    (2, "design --function silu --degree 5 --interval nan,1", "[NaN,1] is no interval"),
    (2, "design --function silu --degree 5 --interval 1,1", "[1,1] is no interval"),
    (2, "design --function silu --degree 5 --interval 0,inf", "is no interval"),
    (2, "design --function inverse --degree 5 --interval=-1,1", "known are"),
    (2, "design --function silu --degree 5 --interval 0,1 --method best", "invalid value 'best' for '--method"),
    (2, "search", "required"),
    (2, "search --alpha 0", "`0` is no alpha"),
    (2, "search --alpha 9..4", "is an empty range"),
    (2, "search --alpha 4..9999999999", "is no alpha"),
    (2, "search --error 0", "the error 0e0 cannot be a target"),
    (2, "search --error nan", "the error NaN cannot be a target"),
    (2, "search --error -1", "the error -1e0 cannot be a target"),
    (2, "search --error 0.1x", "invalid value '0.1x' for '--error"),
    (2, "search --for sign --alpha 4", "--epsilon"),
    (2, "search --for sign --alpha 4 --epsilon 2", "epsilon"),
    (2, "search --for sign --alpha 4 --epsilon 1e-300", "epsilon 1e-300 cannot be searched for"),
    (2, "search --for sin --alpha 4", "invalid value 'sin' for '--for"),
    (2, "search --alpha 4 --costs heir", "invalid value 'heir' for '--costs"),
    (2, "search --alpha 4 --max-degree 65", "3..=63"),
    (1, "search --alpha 30 --max-degree 3", "no composition of up to 8 stages"),
    (2, "search --alpha 4 --objective time", "invalid value 'time'"),
    (2, "search --alpha 4 --plot a.svg", "--front"),
    (1, "search --alpha 4 --out /dev/full", "--out /dev/full: No space left"),
    (1, "man no/such/folder", "man no/such/folder: No such file"),
    (2, "completions tcsh", "invalid value 'tcsh'"),
    (2, "report", "required"),
    (1, "report missing.csv", "missing.csv: No such file"),
    (1, "report empty", "empty is empty"),
    (1, "report .", ".: Is a directory"),
    (1, "report /dev/zero", "/dev/zero: it is longer than"),
    (1, "report binary", "binary, line 1: not UTF-8"),
    (1, "report notes.csv", "notes.csv, line 1: no column `model`"),
    (1, "report short.csv", "short.csv, line 2: 2 fields where the header has"),
    (1, "report words.csv", "words.csv, line 2: `many` is no images"),
    (1, "report percent.csv", "percent.csv, line 2: `2e18` is no agreement"),
    (1, "report nan.csv --html page.html", "nan.csv, line 2: `NaN` is no top1"),
    (0, "report cut.csv", "cut.csv, line 3: cut short"),
    (0, "report header.csv", "header.csv has no runs"),
    (2, "report @out --views speed", "invalid value 'speed' for '--views"),
    (2, "report @out --plot figure.jpg", "must end with .svg or .png"),
    (2, "report @out --overflow notes.csv", "--overflow: it is drawn by --plot and --html"),
    (1, "report @out --overflow notes.csv --html page.html", "notes.csv, line 1: no column `index`"),
    (1, "report @out --markdown no/such/file", "--markdown no/such/file: No such file"),
    (1, "report @out --latex /dev/full", "--latex /dev/full: No space left"),
    (1, "report @out --html .", "--html .: Is a directory"),
    (1, "report @out @out --merge merged.csv", "once more; remove one of the two lines"),
    (
        1,
        "report shard.csv --merge merged.csv",
        "99999999999998 of the 99999999999999 rows of sweep abc are missing: 1, 2, 4",
    ),
    (2, "report header.csv --plot figure.svg", "nothing to draw"),
];

/// What can be wrong with models, datasets and settings. `@eval` is a run that would succeed.
#[cfg(feature = "libtorch")]
const NETWORKS: &[Mishap] = &[
    // Flags.
    (2, "eval --dataset rgb --relu-range 9", "--model"),
    (2, "eval --model good.pt --dataset rgb", "--relu-range is needed for site"),
    (2, "@eval --relu tanh", "`tanh` is no activation"),
    (2, "@eval --relu paper:3", "4 to 14"),
    (2, "@eval --relu minimax:15@2", "`2` is not an epsilon"),
    (2, "@eval --relu chebyshev:0", "from 1 to 127"),
    (2, "@eval --relu file:missing.json", "missing.json: No such file"),
    (2, "@eval --relu file:/dev/zero", "/dev/zero: it is longer than"),
    (2, "@eval --relu file:binary", "binary: it is no text"),
    (2, "@eval --relu file:notes.csv", "notes.csv: "),
    (2, "@eval --relu file:list.txt@3,3", "list.txt: 4 numbers, but the degrees [3, 3] need 8"),
    (2, "@eval --relu file:list.txt@4", "degree 4 is even"),
    (1, "@eval --relu file:list.txt@3", "does not approximate sign"),
    (2, "eval --model Pools.pt --dataset rgb --relu-range 9 --maxpool square", "square and aq are no max"),
    (2, "eval --model good.pt --dataset rgb --relu-range 0", "--relu-range: `0` is no range"),
    (2, "eval --model good.pt --dataset rgb --relu-range nan", "--relu-range: `nan` is no range"),
    (2, "eval --model good.pt --dataset rgb --relu-range 1e-320", "--relu-range: `1e-320` is no range"),
    (2, "@eval --maxpool-range wide", "--maxpool-range: `wide` is no range"),
    (1, "eval --model good.pt --dataset rgb --relu-range file:missing.csv", "missing.csv: No such file"),
    (1, "eval --model good.pt --dataset rgb --relu-range file:/dev/zero", "/dev/zero: it is longer than"),
    (1, "eval --model good.pt --dataset rgb --relu-range file:empty", "empty, line 1: there is no column `site`"),
    (1, "eval --model good.pt --dataset rgb --relu-range file:binary", "binary, line "),
    (
        1,
        "eval --model good.pt --dataset rgb --relu-range file:twice.csv",
        "twice.csv, line 3: site a stands here a second",
    ),
    (1, "eval --model good.pt --dataset rgb --relu-range file:negative.csv", "negative.csv, line 2: `-2` is no range"),
    (1, "eval --model good.pt --dataset rgb --relu-range file:other.csv", "other.csv has no line for site"),
    (1, "@eval --plan missing.toml", "plan missing.toml: No such file"),
    (1, "@eval --plan /dev/zero", "/dev/zero: it is longer than"),
    (1, "@eval --plan notes.csv", "plan notes.csv: line 1"),
    (1, "@eval --plan empty", "plan empty: "),
    (1, "@eval --plan binary", "plan binary: it is not UTF-8"),
    (1, "@eval --plan nowhere.toml", "no site matches `layer9`"),
    (1, "@eval --plan range.toml", "`-1` is no range"),
    (1, "@eval --plan deep.toml", "plan deep.toml: "),
    (2, "@eval --on-overflow stop", "invalid value 'stop' for '--on-overflow"),
    (3, "eval --model good.pt --dataset rgb --relu-range 0.001 --on-overflow error", "left its range"),
    (2, "@eval --batch 0", "positive whole number"),
    (2, "@eval --batch 99999999999999999999", "positive whole number"),
    (2, "@eval --limit -1", "--limit"),
    (2, "@eval --first 0", "--first"),
    (2, "@eval --first 2 --limit 2", "cannot be used with"),
    (2, "@eval --seed -1", "--seed"),
    (2, "@eval --holdout 4", "--holdout 4: x-images-idx3-ubyte has only 4 images"),
    (2, "@eval --threads 0", "--threads"),
    (2, "@eval --threads 99999999999", "--threads"),
    (2, "@eval --device tpu", "expected cpu, cuda or cuda:N"),
    (2, "@eval --device cuda:-1", "no CUDA device number"),
    (2, "@eval --device cuda:99", "--device cuda:99"),
    (2, "@eval --device cuda:1,cpu,cuda:1", "--device cuda:1: it is named twice"),
    (2, "@eval --device cuda:99999999999999999999", "no CUDA device number"),
    (2, "@eval --input-size 12x12", "3x224x224"),
    (2, "@eval --input-size 0x12x12", "3x224x224"),
    (2, "@eval --input-size 3x12x13", "the model takes 3x12x13"),
    (2, "@eval --resize 0", "from 1 to 16384"),
    (2, "@eval --crop 99999999", "from 1 to 16384"),
    (2, "@eval --interpolation nearest", "bilinear or bicubic"),
    (2, "@eval --mean 0.5,0.5", "--mean: 2 values for 3 channels"),
    (2, "@eval --mean nan", "--mean NaN: expected a finite number"),
    (2, "@eval --mean a", "invalid value 'a' for '--mean"),
    (2, "@eval --std 0", "--std 0: expected a positive number"),
    (2, "@eval --std inf", "--std inf: expected a positive number"),
    (2, "@eval --layout zip", "imagefolder, flat, tar, cifar, idx"),
    (2, "@eval --out a.csv --out b.csv", "cannot be used multiple times"),
    // Archives.
    (1, "@model missing.pt", "model missing.pt cannot be opened: No such file"),
    (1, "@model .", "model . is a folder"),
    (1, "@model empty.pt", "model empty.pt is empty"),
    (1, "@model text.pt", "model text.pt is not a TorchScript archive"),
    (1, "@model zip.pt", "model zip.pt is a zip file, but not a TorchScript archive"),
    (1, "@model truncated.pt", "model truncated.pt is truncated or damaged"),
    (1, "@model truncated_magic.pt", "model truncated_magic.pt is not a TorchScript archive"),
    (1, "@model truncated_end.pt", "model truncated_end.pt is truncated or damaged"),
    (1, "@model damaged.pt", "model damaged.pt "),
    (1, "@model /dev/zero", "model /dev/zero is not a TorchScript archive"),
    (1, "@model state_dict.pt", "holds a state_dict"),
    (1, "@model old_state_dict.pt", "is a Python pickle"),
    (1, "@model bad_preprocess.pt", "preprocess.json is not as expected: "),
    (1, "@model no_preprocess.pt", "preprocess.json is not as expected: "),
    (1, "@model deep_preprocess.pt", "preprocess.json is not as expected: "),
    (1, "@model huge_preprocess.pt", "model huge_preprocess.pt: the extra file preprocess.json says an input of"),
    (1, "inspect --model huge_preprocess.pt", "model huge_preprocess.pt"),
    (1, "@model zero_preprocess.pt", "model zero_preprocess.pt: the extra file preprocess.json says"),
    (1, "@model std_preprocess.pt", "says a standard deviation of 0"),
    (2, "@model mean_preprocess.pt", "--mean of the archive: 2 values for 3 channels"),
    (1, "@model Detector.pt", "returns several tensors, `boxes` of shape [4, 6], `scores` of shape [4, 7]"),
    (1, "@model NoTensor.pt", "returns Int, not a tensor of logits"),
    (1, "@model Scalar.pt", "returns a tensor of shape []"),
    (1, "@model OneRow.pt", "returns a tensor of shape [1, 7]"),
    (1, "@model NoClass.pt", "returns a tensor of shape [4, 0]"),
    (1, "@model ConvolutionalOutput.pt", "returns a tensor of shape [4, 6, 12, 12]"),
    (1, "@model Raises.pt", "the first line"),
    (1, "@model NoInput.pt", "takes 0 inputs"),
    (1, "@model TwoInputs.pt", "takes 2 inputs"),
    (1, "@model NoForward.pt", "has no forward method"),
    (1, "@model half.pt", "the model fails on an input of shape [4, 3, 12, 12]"),
    (2, "@model NoSite.pt", "has no ReLU and no max-pool"),
    (2, "calibrate --model NoSite.pt --dataset rgb --out new.csv", "has no ReLU and no max-pool"),
    (2, "inspect --model good.pt --input-size 65536x65536x65536", "at most 2^31 values in all"),
    (1, "inspect --model good.pt --input-size 1x12x12", "[1, 1, 12, 12]"),
    (0, "@model NotANumber.pt", "are no numbers"),
    (3, "@model NotANumber.pt --on-overflow error", "left its range"),
    (2, "reproduce --imagenet rgb --model resnet18", "no published figures for resnet18"),
    (2, "reproduce --imagenet rgb", "weights/resnet152.pt is missing"),
    // IDX.
    (1, "@data nowhere", "dataset nowhere: No such file"),
    (1, "@data hollow", "dataset hollow: no known layout"),
    (1, "@data loop", "dataset loop: Too many levels of symbolic links"),
    (1, "@data empty", "dataset empty: "),
    (1, "@data empty --layout idx", "dataset empty: "),
    (1, "@data notes.csv --layout idx", "must end in images-idx3-ubyte"),
    (1, "@data idx/no-labels", "its labels are missing"),
    (1, "@data idx/several", "several sets of IDX images"),
    (1, "@data idx/few-labels", "3 labels for 4 images"),
    (1, "@data idx/many-labels", "5 labels for 4 images"),
    (1, "@data idx/no-image", "it holds no image"),
    (1, "@data idx/cut", "bytes of data, but the header says 4x3x12x12"),
    (1, "@data idx/long", "more bytes of data than the 4x3x12x12"),
    (1, "@data idx/bomb", "the header says 4294967295x4294967295x4294967295x4294967295"),
    (1, "@data idx/claim", "bytes of data, but the header says 65535x16x256x256"),
    (1, "@data idx/floats", "IDX data of type 0x0d"),
    (1, "@data idx/cut-header", "the header ends before its 4 dimensions"),
    (1, "@data idx/empty-images", "not an IDX file"),
    (1, "@data idx/empty-labels", "not an IDX file"),
    (1, "@data idx/flat-images", "2 dimensions; images have 3 or 4"),
    (1, "@data idx/matrix-labels", "2 dimensions; labels have 1"),
    (1, "@data idx/high-label", "image 3 has the label 7, but the model has 7 classes"),
    (1, "@data idx/cut-gzip", "the gzip data are damaged or cut short"),
    (1, "@data idx/gzip-bomb", "more bytes of data than the 4x3x12x12"),
    (1, "@data rgb --labels labels/good.txt", "has its own labels"),
    (1, "@data grey --resize 12", "the model fails on an input of shape [4, 1, 12, 12]"),
    (1, "@data grey", "the model fails on an input of shape [4, 1, 12, 12]"),
    // CIFAR.
    (1, "@data cifar/cut", "6000 bytes are no whole number of records"),
    (1, "@data cifar/empty", "0 bytes are no whole number of records"),
    (1, "@data cifar/folder", "no known layout"),
    (1, "@data cifar/high-label", "image 1 has the label 200, but the model has 7 classes"),
    (1, "@data cifar/hundred --crop none", "image 0 has the label 99, but the model has 7 classes"),
    (1, "@data rgb --layout cifar", "no binary CIFAR here"),
    // Class folders.
    (1, "@files folders/none --layout imagefolder", "no image in any class folder"),
    (1, "@files folders/no-image --layout imagefolder", "no image in any class folder"),
    (1, "@files folders/one-class", "names of 1 classes, but the model has 7"),
    (1, "@files folders/eight-classes", "names of 8 classes, but the model has 7"),
    (1, "@files folders/good --classes labels/one-class.txt", "is not among the 1 of --classes"),
    (1, "@files folders/good --classes labels/twice.txt", "labels/twice.txt: a class comes twice"),
    (1, "@files folders/good --classes empty", "empty: it names no class"),
    (1, "@files folders/good --classes /dev/zero", "/dev/zero: it is longer than"),
    (1, "@files folders/circle", "circle/a/back: it is a link to a folder that it lies in"),
    (1, "@files folders/all-broken", "none of the 7 images can be read; the first one, a/1.png: "),
    (0, "@files folders/some-broken", "a/text.png left out: this is"),
    (1, "@files folders/some-broken --strict", "a/"),
    (
        1,
        "eval --model good.pt --relu-range 9 --dataset folders/good --resize none --crop none",
        "where those before it are",
    ),
    (1, "@files folders/dangling --strict", "a/gone.png: it is a link to /nowhere/gone, which does not exist"),
    (0, "@files folders/dangling", "image a/pipe.png left out: it is neither a file nor a link to one"),
    (0, "@files folders/dangling", "image a/folder.png left out: it is a folder"),
    (1, "@files folders/lost-class", "folders/lost-class/h: a link to nowhere, or not accessible"),
    (
        0,
        "@files folders/hidden",
        "1 image(s) in .ipynb_checkpoints are left out: it is hidden and not taken for a class",
    ),
    (0, "@files folders/hidden", "1 image(s) beside the class folders are left out, such as cover.png"),
    (
        0,
        "@files folders/hidden --first 3 --quiet",
        "--first 3: the images lie class by class, and the first ones are of 3 of 7",
    ),
    (2, "eval --model good.pt --relu-range 9 --dataset folders/good --input-size 3x12x8", "cropped to squares"),
    (
        2,
        "eval --model good.pt --relu-range 9 --dataset folders/good --input-size 2x12x12",
        "3 channels, or of 1 in grey",
    ),
    // What is not read.
    (1, "@files flat.tar.gz --labels labels/good.txt", "flat.tar.gz: it is a compressed tar archive"),
    (1, "@files foreign/x.zip", "it is a zip archive"),
    (1, "@files foreign/x.parquet --layout flat --labels labels/good.txt", "it is a Parquet file"),
    (1, "@files foreign/python", "test_batch in it is CIFAR's Python version"),
    (1, "@files foreign/python/test_batch", "it is CIFAR's Python version"),
    (1, "@files foreign/shards", "it holds tar archives (shards of a WebDataset?)"),
    (1, "@files foreign/shards/0.tar", "it is a shard of a WebDataset"),
    (1, "@files folders/good/a/1.png", "it is a single PNG"),
    // A flat folder, a tar archive.
    (1, "@files flat", "needs a label file; name it with --labels FILE"),
    (1, "@files flat --labels missing.txt", "missing.txt: No such file"),
    (1, "@files flat --labels empty", "empty: the label file is empty"),
    (1, "@files flat --labels binary", "--labels binary: it is not text in UTF-8"),
    (1, "@files flat --labels /dev/zero", "/dev/zero: it is longer than"),
    (1, "@files flat --labels labels/few.txt", "2 labels for 4 images"),
    (1, "@files flat --labels labels/high.txt", "has the label 7, but the model has 7 classes"),
    (1, "@files flat --labels labels/huge.txt", "has no label"),
    (1, "@files flat --labels labels/negative.txt", "line 2, `-1`, has no label"),
    (1, "@files flat --labels labels/twice-named.txt", "line 5: a second class for 1.png"),
    (1, "@files flat --labels labels/three-named.txt", "it has no label for 4.png"),
    (1, "@files flat --labels labels/kaggle.csv", "line 2, `1`, has no label"),
    (1, "@files flat --labels labels/wide.csv", "--labels labels/wide.csv: line 1: 4 columns"),
    (1, "@files flat --labels labels/words.txt", "line 1, `1.png cat`, has no label"),
    (1, "@files flat --labels labels/utf-16.txt", "--labels labels/utf-16.txt: it is text in UTF-16"),
    (0, "@files flat --labels labels/excel.csv", "agreement"),
    (1, "@files flat --labels labels/wordnet.txt", "names of 2 classes, but the model has 7"),
    (1, "@files flat.tar", "needs a label file"),
    (1, "@files flat.tar --labels labels/few.txt", "2 labels for 4 images"),
    (1, "@files cut.tar --labels labels/good.txt", "cut.tar: the archive is cut short"),
    (1, "@files same-names.tar --labels labels/good.txt", "two images are named 1.png"),
    (1, "@files no-image.tar --labels labels/good.txt", "no image in this tar archive"),
    (1, "@files empty --layout tar --labels labels/good.txt", "empty: no image in this tar archive"),
    (1, "@files binary --layout tar --labels labels/good.txt", "dataset binary: "),
    // Where results go.
    (1, "@eval --out no/such/results.csv", "--out no/such/results.csv: No such file"),
    (1, "@eval --out .", "--out .: Is a directory"),
    (1, "@eval --out /dev/full", "--out /dev/full: it is a device or a pipe"),
    (1, "@eval --out notes.csv", "notes.csv: it exists and is no results file"),
    (1, "@eval --out cut.csv", "cut.csv: its last row is cut short"),
    (1, "@eval --out binary", "--out binary: "),
    (1, "@eval --predictions /dev/full", "--predictions /dev/full: No space left"),
    (1, "@eval --per-class /dev/full", "--per-class /dev/full: No space left"),
    (1, "@eval --overflow-report /dev/full", "--overflow-report /dev/full: No space left"),
    (1, "@eval --predictions no/such/file", "--predictions no/such/file: No such file"),
    (2, "calibrate --model good.pt --dataset rgb", "--out"),
    (1, "@calibrate --out no/such/ranges.csv", "--out no/such/ranges.csv: No such file"),
    (1, "@calibrate --out ranges.csv --json no/such/file", "--json no/such/file: No such file"),
    (1, "@calibrate --out ranges.csv --plan-out /dev/full", "--plan-out /dev/full: No space left"),
    (2, "@calibrate --out ranges.csv --margin -1", "expected a number of at least 0"),
    (2, "@calibrate --out ranges.csv --round-up 0", "expected a positive number"),
    (2, "@calibrate --out ranges.csv --quantile 1.5", "a share in (0, 1]"),
    (2, "@calibrate --out ranges.csv --candidates 0", "--candidates: 0 is no range"),
    (2, "@calibrate --out ranges.csv --plot figure.gif", "must end with .svg or .png"),
    (2, "@calibrate --out ranges.csv --device cpu,cpu", "calibration runs on one device"),
    // Sweeps.
    (2, "sweep --model good.pt --dataset rgb --relu-range 9", "--out"),
    (2, "sweep --dataset rgb --relu-range 9 --out @out", "--model is needed"),
    (2, "@sweep --shard 3/2", "expected i/n with i from 1 to n"),
    (2, "@sweep --shard 1/0", "expected i/n with i from 1 to n"),
    (2, "@sweep --relu-range 9 -2", "`-2` is no range"),
    (1, "sweep --model good.pt missing.pt --dataset rgb --relu-range 9 --out @out", "--model missing.pt: No such file"),
    (1, "@sweep --resume --out notes.csv", "notes.csv: it exists and is no results file"),
    (1, "@sweep --resume --out short.csv", "short.csv, line 2: 2 fields where the header has"),
    (1, "@sweep --out journaled.csv", "a sweep was interrupted here; --resume goes on"),
    (1, "@sweep --out journaled.csv --resume", "belongs to another sweep"),
    (1, "@sweep --out scribbled.csv --resume", "journal scribbled.csv.journal, line 1: "),
    (1, "sweep --config missing.toml --out @out", "--config missing.toml: No such file"),
    (1, "sweep --config /dev/zero --out @out", "/dev/zero: it is longer than"),
    (1, "sweep --config binary --out @out", "--config binary: it is not UTF-8"),
    (2, "sweep --config notes.csv --out @out", "--config notes.csv: "),
    (2, "sweep --config empty --out @out", "--model is needed"),
    (2, "sweep --config typo.toml --out @out", "`modle` is no key"),
    (2, "sweep --config table.toml --out @out", "`relu` cannot be table"),
    (2, "sweep --config none.toml --out @out", "--relu"),
    (2, "sweep --config good.toml --model good.pt --out @out", "cannot be used with"),
];

/// Runs the program in the folder of all files, in the time that a run may take.
fn run(folder: &Path, arguments: &str) -> Output {
    Command::new("timeout")
        .args(["--signal=KILL", "40", env!("CARGO_BIN_EXE_polyact")])
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap()
}

/// What is not as it should be in one situation.
fn complaint(folder: &Path, &(code, arguments, part): &Mishap, number: usize) -> Option<String> {
    let before = fs::read(folder.join("results.csv")).unwrap();
    let out = format!("out{number}.csv");
    let evaluates = ["@eval", "@model", "@data", "@files", "@sweep"].iter().any(|short| arguments.starts_with(short));
    fs::write(folder.join(&out), &before).unwrap();
    let mut arguments = [
        ("@eval", "eval --model good.pt --dataset rgb --relu-range 9"),
        ("@model", "eval --dataset rgb --relu-range 9 --model"),
        ("@data", "eval --model good.pt --relu-range 9 --dataset"),
        ("@files", "eval --model good.pt --relu-range 9 --resize 12 --crop 12 --dataset"),
        ("@calibrate", "calibrate --model good.pt --dataset rgb"),
        ("@sweep", "sweep --model good.pt --dataset rgb --relu-range 9"),
        ("@out", &out),
    ]
    .iter()
    .fold(arguments.to_owned(), |text, (short, long)| text.replace(short, long));
    if evaluates && !arguments.contains("--out") {
        arguments += &format!(" --out {out}");
    }
    let output = run(folder, &arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let errors = stderr.lines().filter(|line| !line.starts_with("warning: ")).count();
    // Bad usage is followed by what is allowed, over several lines; but only one of them says what was wrong.
    let named = stderr.lines().filter(|line| line.to_lowercase().starts_with("error: ")).count();
    let rows = fs::read(folder.join(&out)).unwrap();
    let (done, stdout) = (code == 0, String::from_utf8_lossy(&output.stdout));
    let told = stderr.contains(part) || done && stdout.contains(part);
    let kept = if done { rows.starts_with(&before) && rows.ends_with(b"\n") } else { rows == before };
    let wrong = if output.status.code() != Some(code) {
        format!("exit code {:?} instead of {code}", output.status.code())
    } else if !told {
        format!("expected `{part}`")
    } else if ["panicked", "backtrace", "frame #"].iter().any(|trace| stderr.contains(trace)) {
        "a backtrace".to_owned()
    } else if !done && (code != 2 && errors != 1 || named > 1) {
        format!("{errors} lines instead of one")
    } else if !done && !stdout.is_empty() {
        "something on stdout".to_owned()
    } else if !kept {
        "the results file has changed".to_owned()
    } else {
        return None;
    };
    Some(format!("polyact {arguments}\n    {wrong}: {}", stderr.trim_end()))
}

/// All of `mishaps`, on two threads; whatever is wrong at once.
fn check(folder: &Path, mishaps: &[Mishap]) {
    let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(mishap) = mishaps.get(number) else { return };
                    let complaint = complaint(folder, mishap, number);
                    complaints.lock().unwrap().extend(complaint);
                }
            });
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), mishaps.len(), complaints.join("\n"));
}

/// Files that are not what they should be.
fn wrong_files(folder: &Path) {
    let columns = polyact::report::COLUMNS;
    let (header, row) = (columns.join(","), vec!["1"; columns.len()].join(","));
    let with = |column: &str, value: &str| {
        let fields = columns.map(|name| if name == column { value } else { "1" });
        format!("{header}\n{}\n", fields.join(","))
    };
    for (name, content) in [
        ("results.csv", format!("{header}\n{row}\n")),
        ("header.csv", format!("{header}\n")),
        ("cut.csv", format!("{header}\n{row}\n{}", &row[..9])),
        ("short.csv", format!("{header}\n1,2\n")),
        ("words.csv", with("images", "many")),
        ("percent.csv", with("agreement", "2e18")),
        ("nan.csv", with("top1", "NaN")),
        ("shard.csv", with("sweep", "abc:3/99999999999999")),
        ("notes.csv", "a,b\n1,2\n".to_owned()),
        ("twice.csv", "site,range\na,1\na,2\n".to_owned()),
        ("negative.csv", "site,range\na,-2\n".to_owned()),
        ("other.csv", "site,range\nlayer9,2\n".to_owned()),
        ("list.txt", "0\n1\n0\n1\n".to_owned()),
        ("nowhere.toml", "[[sites]]\nmatch = 'layer9'\nrange = 1\n".to_owned()),
        ("range.toml", "[[sites]]\nmatch = '*'\nrange = -1\n".to_owned()),
        ("deep.toml", format!("sites = {}", "[".repeat(200_000))),
        ("typo.toml", "modle = 'good.pt'\n".to_owned()),
        ("table.toml", "relu = { a = 1 }\n".to_owned()),
        ("none.toml", "model = 'good.pt'\nrelu = []\n".to_owned()),
        ("good.toml", "model = 'good.pt'\n".to_owned()),
        ("journaled.csv", format!("{header}\n")),
        ("journaled.csv.journal", "{\"sweep\":\"abc 1/1\"}\n".to_owned()),
        ("scribbled.csv", format!("{header}\n")),
        ("scribbled.csv.journal", "not a journal\n".to_owned()),
        ("empty", String::new()),
    ] {
        fs::write(folder.join(name), content).unwrap();
    }
    fs::write(folder.join("binary"), (0..2000u32).map(|i| (i * 7 + 128) as u8).collect::<Vec<u8>>()).unwrap();
}

#[test]
fn wrong_flags_and_files_of_workbench_and_report() {
    let folder = tempfile::tempdir().unwrap();
    wrong_files(folder.path());
    check(folder.path(), WORKBENCH);
}

#[cfg(feature = "libtorch")]
mod networks {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn idx(kind: u8, sizes: &[u32], data: usize) -> Vec<u8> {
        let mut file = vec![0, 0, kind, sizes.len() as u8];
        sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
        file.extend((0..data).map(|i| (i % 7) as u8));
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A grey picture of 12 rows.
    fn picture(width: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, 12);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&vec![77; 12 * width as usize]).unwrap();
        file
    }

    fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn idx_sets(folder: &Path) {
        const IMAGES: usize = 4 * 3 * 12 * 12;
        const SIZES: [u32; 4] = [4, 3, 12, 12];
        let (images, labels) = (idx(8, &SIZES, IMAGES), idx(8, &[4], 4));
        let zeros = gzip(&[images.clone(), vec![0; 200_000_000]].concat());
        for (name, images, labels) in [
            ("rgb", images.clone(), labels.clone()),
            ("grey", idx(8, &[4, 12, 12], 4 * 12 * 12), labels.clone()),
            ("idx/few-labels", images.clone(), idx(8, &[3], 3)),
            ("idx/many-labels", images.clone(), idx(8, &[5], 5)),
            ("idx/no-image", idx(8, &[0, 3, 12, 12], 0), idx(8, &[0], 0)),
            ("idx/cut", images[..IMAGES].to_vec(), labels.clone()),
            ("idx/long", [&images[..], b"!"].concat(), labels.clone()),
            ("idx/bomb", idx(8, &[u32::MAX; 4], 10), labels.clone()),
            ("idx/claim", idx(8, &[65535, 16, 256, 256], 10), labels.clone()),
            ("idx/floats", idx(13, &SIZES, 4 * IMAGES), labels.clone()),
            ("idx/cut-header", images[..11].to_vec(), labels.clone()),
            ("idx/empty-images", Vec::new(), labels.clone()),
            ("idx/empty-labels", images.clone(), Vec::new()),
            ("idx/flat-images", idx(8, &[4, 432], IMAGES), labels.clone()),
            ("idx/matrix-labels", images.clone(), idx(8, &[4, 1], 4)),
            ("idx/high-label", images.clone(), [&labels[..labels.len() - 1], &[7]].concat()),
            ("idx/cut-gzip", gzip(&images)[..40].to_vec(), labels.clone()),
            ("idx/gzip-bomb", zeros, labels.clone()),
        ] {
            write(folder, &format!("{name}/x-images-idx3-ubyte"), images);
            write(folder, &format!("{name}/x-labels-idx1-ubyte"), labels);
        }
        write(folder, "idx/no-labels/x-images-idx3-ubyte", &images);
        write(folder, "idx/several/x-images-idx3-ubyte", &images);
        write(folder, "idx/several/y-images-idx3-ubyte", &images);
    }

    fn cifar_sets(folder: &Path) {
        let record = |labels: &[u8]| [labels, &[5; 3072]].concat();
        write(folder, "cifar/cut/test_batch.bin", &record(&[1]).repeat(2)[..6000]);
        write(folder, "cifar/empty/test_batch.bin", "");
        fs::create_dir_all(folder.join("cifar/folder/test_batch.bin")).unwrap();
        write(folder, "cifar/high-label/test_batch.bin", [record(&[1]), record(&[200])].concat());
        write(folder, "cifar/hundred/test.bin", record(&[0, 99]));
    }

    fn image_files(folder: &Path) {
        let classes = ["a", "b", "c", "d", "e", "f", "g", "h"];
        for (set, count) in [
            ("good", 7),
            ("one-class", 1),
            ("eight-classes", 8),
            ("circle", 7),
            ("some-broken", 7),
            ("dangling", 7),
            ("lost-class", 7),
            ("hidden", 7),
        ] {
            for (class, width) in classes[..count].iter().zip(12..) {
                write(folder, &format!("folders/{set}/{class}/1.png"), picture(width));
            }
        }
        for class in &classes[..7] {
            write(folder, &format!("folders/all-broken/{class}/1.png"), "");
        }
        symlink("/nowhere/gone", folder.join("folders/dangling/a/gone.png")).unwrap();
        fs::create_dir(folder.join("folders/dangling/a/folder.png")).unwrap();
        let pipe = folder.join("folders/dangling/a/pipe.png");
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        symlink("/nowhere", folder.join("folders/lost-class/h")).unwrap();
        write(folder, "folders/hidden/.ipynb_checkpoints/1.png", picture(12));
        write(folder, "folders/hidden/cover.png", picture(12));
        fs::create_dir_all(folder.join("folders/none")).unwrap();
        write(folder, "folders/no-image/a/notes.txt", "no image");
        symlink("..", folder.join("folders/circle/a/back")).unwrap();
        symlink(".", folder.join("folders/circle/a/itself")).unwrap();
        let whole = picture(12);
        let photograph = fs::read(common::root().join("tests/photographs/flowers/flower.jpg")).unwrap();
        // A header that claims the most pixels that are read, and more.
        let mut claim = whole.clone();
        claim[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        for (name, content) in [
            ("text.png", b"<html>".to_vec()),
            ("empty.png", Vec::new()),
            ("cut.png", whole[..whole.len() / 2].to_vec()),
            ("magic.png", whole[..8].to_vec()),
            ("claim.png", claim),
            ("cut.jpg", photograph[..photograph.len() / 2].to_vec()),
            ("magic.jpg", photograph[..3].to_vec()),
            ("photograph.png", photograph.clone()),
            ("gif.jpg", b"GIF89a".to_vec()),
        ] {
            write(folder, &format!("folders/some-broken/a/{name}"), content);
        }
        // As sparse as a file can be, and longer than memory.
        let huge = fs::File::create(folder.join("folders/some-broken/a/huge.jpg")).unwrap();
        huge.set_len(1 << 42).unwrap();

        let mut archive = tar::Builder::new(Vec::new());
        let mut same = tar::Builder::new(Vec::new());
        let add = |archive: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes).unwrap();
        };
        for number in 1..=4 {
            let name = format!("{number}.png");
            write(folder, &format!("flat/{name}"), &whole);
            add(&mut archive, &name, &whole);
            add(&mut same, &format!("{number}/1.png"), &whole);
        }
        let whole = archive.into_inner().unwrap();
        write(folder, "cut.tar", &whole[..600]);
        write(folder, "flat.tar.gz", gzip(&whole));
        write(folder, "flat.tar", whole);
        write(folder, "foreign/x.zip", b"PK\x03\x04");
        write(folder, "foreign/x.parquet", b"PAR1");
        write(folder, "foreign/python/test_batch", b"\x80\x02}q\x01");
        let mut archive = tar::Builder::new(Vec::new());
        add(&mut archive, "0.jpg", &photograph);
        add(&mut archive, "0.cls", b"3");
        write(folder, "foreign/shards/0.tar", archive.into_inner().unwrap());
        write(folder, "same-names.tar", same.into_inner().unwrap());
        let mut archive = tar::Builder::new(Vec::new());
        add(&mut archive, "notes.txt", b"no image");
        write(folder, "no-image.tar", archive.into_inner().unwrap());
    }

    fn label_files(folder: &Path) {
        for (name, content) in [
            ("good.txt", "0\n1\n2\n3\n"),
            ("few.txt", "0\n1\n"),
            ("high.txt", "0\n1\n2\n7\n"),
            ("huge.txt", "0\n1\n2\n99999999999\n"),
            ("negative.txt", "0\n-1\n2\n3\n"),
            ("twice-named.txt", "1.png 0\n2.png 1\n3.png 2\n4.png 3\n1.png 4\n"),
            ("three-named.txt", "1.png 0\n2.png 1\n3.png 2\n"),
            ("kaggle.csv", "ImageId,PredictionString\n1\n"),
            ("wordnet.txt", "n00000001\nn00000002\nn00000001\nn00000002\n"),
            ("wide.csv", "1.png,0,0,1\n2.png,1,0,1\n"),
            ("words.txt", "1.png cat\n"),
            ("excel.csv", "\u{feff}filename;label\r\n1.png;0\r\n2.png;1\r\n3.png;2\r\n4.png;3\r\n"),
            ("one-class.txt", "a\n"),
            ("twice.txt", "a\nb\na\n"),
        ] {
            write(folder, &format!("labels/{name}"), content);
        }
        write(folder, "labels/utf-16.txt", b"\xff\xfe0\0\n\0");
    }

    /// The folder in which everything lies.
    fn world() -> tempfile::TempDir {
        let world = tempfile::tempdir().unwrap();
        let folder = world.path();
        common::python("small_archives.py", &[common::text(folder)]);
        fs::rename(folder.join("Branches.pt"), folder.join("good.pt")).unwrap();
        wrong_files(folder);
        idx_sets(folder);
        cifar_sets(folder);
        image_files(folder);
        label_files(folder);
        fs::create_dir(folder.join("hollow")).unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        world
    }

    #[test]
    fn wrong_models_datasets_and_settings() {
        let world = world();
        check(world.path(), NETWORKS);
    }
}
