"""The rows of test_bad_input.py: an id, a command line, words of its answer, and what may be left under OUT."""

from __future__ import annotations

from typing import NamedTuple

from reliability.materials import CUTS, EMOJI, NEWLINE, SPACES, cut_name

QUALITY = "bench quality good.pt --data faces --age-model judge.onnx --id-model judge.onnx --split train --out OUT/q"


class Row(NamedTuple):
    id: str
    line: str
    says: str
    leaves: str = ""  # what may be there afterwards, under OUT, as a glob: whole all the same


def rows(group: str, *table: tuple[str, ...]) -> list[Row]:
    return [Row(f"{group}: {row[0]}", *row[1:]) for row in table]


FILES = [
    *rows(
        "photo",
        ("missing", "cam --source gone.png", "cannot read gone.png"),
        ("missing in a missing folder", "cam --source nowhere/gone.png", "cannot read nowhere/gone.png"),
        ("empty", "cam --source empty.png", "empty.png is empty"),
        ("text", "cam --source text.png", "no picture"),
        ("program", "cam --source program.png", "no picture"),
        ("zeros", "cam --source zeros.png", "no picture"),
        ("clip in a photo's clothes", "cam --source clip.png", "no picture"),
        ("folder with a photo's name", "cam --source folder.png", "holds no picture"),
        ("folder without pictures", "cam --source 'no pictures'", "holds no picture"),
        ("folder, one bad", "cam --source 'some bad' --sink OUT", "2.png", "[13].png"),
        ("link to itself", "cam --source loop.png", "cannot read loop.png"),
        ("link to nothing", "cam --source nowhere.png", "cannot read nowhere.png"),
        ("name too long", f"cam --source {'x' * 300}.png", "name too long"),
        ("path too long", f"cam --source {'x/' * 3000}a.png", "name too long"),
        ("device file", "cam --source /dev/null", "source"),
    ),
    *rows(
        "clip",
        ("missing", "cam --source gone.mp4", "there is no source"),
        ("empty", "cam --source empty.mp4", "it is empty"),
        ("text", "cam --source text.mp4", "no readable video"),
        ("zeros", "cam --source zeros.mp4", "no readable video"),
        ("sound alone", "cam --source sound.mp4", "no readable video"),
        ("playlist of another file", "cam --source playlist.mp4", "no readable video"),
        ("list of other files", "cam --source list.mp4", "no readable video"),
        ("description of a network session", "cam --source session.mp4", "no readable video"),
        ("address of nobody", "cam --source http://127.0.0.1:9/a.mp4", "gives no video"),
        ("unknown scheme", "cam --source gopher://127.0.0.1/a.mp4", "there is no source"),
        ("stage of a benchmark", "bench stages gone.mp4 --model tint.onnx --device cpu --threads 1", "there is no source"),
        ("clip of a benchmark", f"{QUALITY} --clip text.mp4", "no readable video"),
        ("steadiness", "bench steadiness text.mp4 --age-model judge.onnx --model tint.onnx --out OUT/s", "no readable video"),
        ("smoothing", "bench smoothing empty.mp4", "it is empty"),
        ("smoothing a photo", "bench smoothing gone.png", "cannot read gone.png"),
    ),
    *rows(
        "faces to export with",
        ("missing", "export good.pt OUT/a.onnx --verify --faces gone", "gone does not exist"),
        ("text", "export good.pt OUT/a.onnx --verify --faces text.png", "not a readable picture"),
        ("empty picture", "export good.pt OUT/a.onnx --verify --faces empty.png", "not a readable picture"),
        ("empty tar", "export good.pt OUT/a.onnx --verify --faces empty.tar", "not a readable tar"),
        ("text in a tar's clothes", "export good.pt OUT/a.onnx --verify --faces text.tar", "not a readable tar"),
        ("folder named like a picture", "export good.pt OUT/a.onnx --verify --faces 'no pictures'", "no usable picture"),
        ("a bad one among them", "export good.pt OUT/a.onnx --verify --faces 'some bad'", "2.png"),
        ("bad face in a tar", "export good.pt OUT/a.onnx --verify --faces text-face.tar", "not a readable picture"),
        ("table in Latin-1", "export good.pt OUT/a.onnx --verify --faces d-latin", "table"),
        ("table of bytes", "export good.pt OUT/a.onnx --verify --faces d-binary", "table"),
        ("endless field", "export good.pt OUT/a.onnx --verify --faces d-long", "table"),
        ("damaged manifest", "export good.pt OUT/a.onnx --verify --faces m-words", "damaged"),
        ("too few to calibrate", "export good.pt OUT/a.onnx --int8 'photo.png'", "too few"),
        ("none to calibrate", "export good.pt OUT/a.onnx --int8 gone", "gone does not exist"),
    ),
]

MODELS = [
    *rows(
        "model",
        ("missing", "cam --model gone.onnx", "there is no model"),
        ("empty", "cam --model empty.onnx", "no ONNX model"),
        ("text", "cam --model text.onnx", "no ONNX model"),
        ("photo", "cam --model photo.onnx", "no ONNX model"),
        ("folder", "cam --model folder.onnx", "there is no model"),
        ("checkpoint", "cam --model good.pt", "no ONNX model"),
        ("bundled finder", "cam --model judge.onnx", "has no card"),
        ("name too long", f"cam --model {'x' * 300}.onnx", "name too long"),
        ("no card", "cam --model nocard.onnx", "has no card"),
        ("later card", "cam --model newer.onnx", "card format 99"),
        ("a finder's card", "cam --model finder-card.onnx", "is a finder"),
        *((f"card {name}", f"cam --model card-{name}.onnx", "damaged card") for name in
          ("words", "list", "null", "nested", "endless", "huge", "flat", "half", "number")),
        ("card of another size", "cam --model card-other-size.onnx", "does not run"),
        ("opset of the future", "cam --model opset99.onnx", "cannot be loaded"),
        ("format of the future", "cam --model ir99.onnx", "cannot be loaded"),
        ("foreign domain", "cam --model domain.onnx", "cannot be loaded"),
        ("foreign operator", "cam --model operator.onnx", "cannot be loaded"),
        ("wrong inputs", "cam --model inputs.onnx", "inputs image, birthday"),
        ("wrong outputs", "cam --model outputs.onnx", "outputs aged, alpha"),
        ("wrong type", "cam --model doubles.onnx", "doubles.onnx"),
        ("NaN weights", "cam --model nan.onnx", "finite"),
        ("NaN in the mask", "cam --model nan-mask.onnx", "finite"),
        ("infinite weights", "cam --model infinite.onnx", "finite"),
        ("division by zero", "cam --model division.onnx", "finite"),
        ("no graph", "cam --model no-graph.onnx", "no ONNX model"),
        ("no nodes", "cam --model no-nodes.onnx", "cannot be loaded"),
        ("weights beside it", "cam --model beside.onnx", "weights in another file"),
        ("weights above it", "cam --model above.onnx", "weights in another file"),
        ("weights anywhere", "cam --model anywhere.onnx", "weights in another file"),
        ("weights beside it, OpenVINO", "cam --model beside.onnx --device openvino", "weights in another file"),
        ("foreign operator, OpenVINO", "cam --model operator.onnx --device openvino", "cannot be run by OpenVINO"),
        ("NaN weights, OpenVINO", "cam --model nan.onnx --device openvino", "finite"),
        ("no such bundled one", "cam --model desktop", "there is no model desktop"),
        ("engine alone", "cam --model lone.engine --device tensorrt", "lone.engine.json"),
        ("engine on the CPU", "cam --model lone.engine --device cpu", "is a TensorRT engine"),
        ("engine with a sick description", "cam --model sick.engine --device tensorrt", "damaged"),
        ("engine with a foreign description", "cam --model foreign.engine --device tensorrt", "damaged"),
        ("shown: missing", "export --show gone.onnx", "there is no file"),
        ("shown: foreign", "export --show judge.onnx", "has no card"),
        ("shown: nested card", "export --show card-nested.onnx", "damaged card"),
        ("shown: weights elsewhere", "export --show anywhere.onnx", "weights in another file"),
        ("shown: text", "export --show text.onnx", "no ONNX model"),
        ("shown: engine alone", "export --show lone.engine", "cannot be read"),
        ("shown: foreign description", "export --show foreign.engine.json", "cannot be read"),
        ("timed: missing", "bench latency gone.onnx", "there is no model"),
                ("timed: weights elsewhere", "bench latency anywhere.onnx --threads 1 --rounds 1", "weights in another file"),
        ("stages: foreign", "bench stages clip.mp4 --model judge.onnx", "has no card"),
        ("scored: foreign", QUALITY.replace("good.pt", "judge.onnx"), "has no card"),
    ),
    *rows(
        "frozen net",
        ("judge missing", QUALITY.replace("--age-model judge.onnx", "--age-model gone.onnx"), "cannot read the judge"),
        ("judge of text", QUALITY.replace("--age-model judge.onnx", "--age-model text.onnx"), "cannot be loaded"),
        ("judge empty", QUALITY.replace("--age-model judge.onnx", "--age-model empty.onnx"), "cannot be loaded"),
        ("judge without crop", QUALITY.replace("--age-model judge.onnx", "--age-model no-crop.onnx"), "is no judge"),
        ("judge with a senseless crop", QUALITY.replace("--id-model judge.onnx", "--id-model bad-crop.onnx"), "is no judge"),
        ("judge with weights elsewhere", QUALITY.replace("--id-model judge.onnx", "--id-model judge-beside.onnx"),
            "weights in another file"),
        ("detector missing", "cam --detector gone.onnx", "gone.onnx"),
        ("detector of text", "cam --detector text.onnx", "text.onnx"),
        ("detector foreign", "cam --detector judge.onnx", "judge.onnx"),
        ("detector of a benchmark", "bench faces --yunet text.onnx --photos photo.png --out OUT/f", "text.onnx"),
        ("detector of prepare", "data prepare faces OUT/p --workers 1 --detector gone.onnx", "there is no gone.onnx"),
        ("detector of prepare, text", "data prepare faces OUT/p --workers 1 --detector text.onnx", "text.onnx", "p/.work/plan.json"),
        ("parser missing", "data prepare faces OUT/p --workers 1 --masks gone.onnx", "there is no gone.onnx"),
        ("parser of text", "data prepare faces OUT/p --workers 1 --masks text.onnx", "cannot be loaded", "p/.work/plan.json"),
        ("parser foreign", "data prepare faces OUT/p --workers 1 --masks judge.onnx", "judge.onnx", "p/.work/plan.json"),
        ("parser with weights elsewhere", "data prepare faces OUT/p --workers 1 --masks judge-beside.onnx", "weights", "p/.work/plan.json"),
        ("in a loss, missing", "train faces --set age=1 --set age_net=gone.onnx", "not a readable ONNX file"),
        ("in a loss, text", "train faces --set age=1 --set age_net=text.onnx", "not a readable ONNX file"),
        ("in a loss, foreign operator", "train faces --set age=1 --set age_net=operator.onnx", "RunProgram"),
        ("in a loss, weights elsewhere", "train faces --set age=1 --set age_net=judge-beside.onnx", "judge-beside.onnx"),
        ("of synthetic people", "data synthesize OUT/s --identities 1 --age-model text.onnx --weights faces", "MappingNetwork"),
        ("weights of synthetic people", "data synthesize OUT/s --identities 1 --age-model judge.onnx --weights text.tar",
            "no such generator"),
        ("synthetic without a net", "train synthetic:seed=1", "names no age net"),
        ("synthetic with a foreign field", "train synthetic:speed=9", "not usable at 'speed=9'"),
        ("synthetic with a word for a seed", "train synthetic:seed=x,age-model=judge.onnx", "whole numbers"),
    ),
]  # fmt: skip

RUNS = ("runs", "runs-legacy", "runs-plain", "runs-protocol0", "runs-zip", "runs-tar")
SICK = {
    "format": "format 99", "no-preset": "", "unknown-preset": "unknown here", "foreign-field": "unknown here", "no-ema": "no generator",
    "ema-list": "", "size-word": "size", "size-huge": "size", "widths-huge": "widths", "widths-word": "widths", "family": "family",
    "step-word": "step", "numbers": "damaged", "other-shape": "does not fit", "nan": "damaged", "finder": "does not fit",
}  # fmt: skip
CHECKPOINTS = [
    *rows(
        "checkpoint",
        ("missing", "export gone.pt OUT/a.onnx", "is not there"),
        *((name, f"export {name}.pt OUT/a.onnx", "not a checkpoint") for name in ("empty", "text", "photo", "foreign", "list")),
        ("folder", "export folder.pt OUT/a.onnx", "is not there"),
        ("model", "export tint.onnx OUT/a.onnx", "not a checkpoint"),
        *((f"{name} code, exported", f"export {name}.pt OUT/a.onnx", "not a checkpoint") for name in RUNS),
        *((f"{name} code, shown", f"export --show {name}.pt", "not a checkpoint") for name in RUNS),
        *((f"{name} code, begun from", f"train faces --init {name}.pt", "not a checkpoint") for name in RUNS),
        ("runs code, timed", "bench latency runs.pt --backend torch --threads 1 --rounds 1", "not a checkpoint"),
        ("runs code, scored", QUALITY.replace("good.pt", "runs.pt"), "not a checkpoint"),
        ("runs code, resumed", "train faces --out 'run runs' --resume", "not a checkpoint"),
        ("foreign, resumed", "train faces --out 'run foreign' --resume", "not a checkpoint"),
        ("of another preset, resumed", "train faces --out 'run good' --resume --set widths=8,24", "holds other networks"),
        ("nothing to resume", "train faces --resume", "is not there"),
        ("a run that is there", "train faces --out 'run good'", "holds a run already"),
        ("begun from another preset", "train faces --init good.pt --set widths=8,24", "holds a tiny"),
        *((f"{name}, exported", f"export ck-{name}.pt OUT/a.onnx", says) for name, says in SICK.items()),
        *((f"{name}, shown", f"export --show ck-{name}.pt", "ck-") for name in ("no-preset", "ema-list", "numbers")),
        *((f"{name}, begun from", f"train faces --init ck-{name}.pt", says) for name, says in
          {k: SICK[k] for k in ("no-preset", "ema-list", "size-word", "widths-huge", "numbers", "nan")}.items()),
    ),
]  # fmt: skip

TABLES = {
    "empty": "columns", "head": "columns", "columns": "columns", "word": "age 'old'", "nan": "age 'nan'", "inf": "age 'inf'",
    "young": "age '-5'", "old": "age '200'", "gone": "gone.jpg", "climbs": "photo.png", "absolute": "passwd", "quote": "readable",
    "short": "age None", "binary": "readable", "nul": "", "latin": "readable", "utf16": "readable", "twice": "twice",
    "split": "split 'dev'", "long": "readable", "semicolons": "columns", "test": "no train faces", "empty name": "",
}  # fmt: skip
SHARDS = [
    *rows(
        "data",
        ("missing", "train gone.tar", "is no data"),
        ("empty", "train empty.tar", "is no data"),
        ("text", "train text.tar", "is no data"),
        ("zeros", "train nothing.tar", "labels.csv"),
        ("photo", "train photo.png", "is no data"),
        ("folder without a table", "train 'no pictures'", "no labels.csv"),
        ("no table", "train no-table.tar", "no labels.csv"),
        ("packed", "train packed.tar", "compressed tar"),
        ("face of text", "train text-face.tar --set paired=0", "cannot be decoded", "run/**/*"),
        *((f"{name[:-4]} in a tar", f"train {name}", "a.jpg") for name in
          ("symlink.tar", "hardlink.tar", "climbing.tar", "rooted.tar", "device.tar", "pipe.tar")),
        ("double name in a tar", "train doubles.tar", "twice"),
        ("link out of a folder", "train linked", "inside that folder"),
        *((f"table {name}, tar", f"train 't-{name}.tar'", says) for name, says in TABLES.items()),
        *((f"table {name}, folder", f"train 'd-{name}'", says) for name, says in TABLES.items()),
        *((f"manifest {name}", f"train m-{name}", says) for name, says in
          {"words": "damaged", "list": "damaged", "null": "damaged", "nested": "damaged", "climbs": "not whole", "gone": "missing",
              "endless": "damaged"}.items()),
        ("looked at: missing", "data inspect gone", "is no data"),
        ("looked at: bad table", "data inspect t-nan.tar", "age 'nan'"),
        ("looked at: bad face", "data inspect text-face.tar --sheet OUT/s.png", "cannot be decoded"),
        ("looked at: double name", "data inspect doubles.tar", "twice"),
        ("prepared: missing", "data prepare gone OUT/p --workers 1", "cannot be read as data"),
        ("prepared: packed", "data prepare packed.tar OUT/p --workers 1", "compressed"),
        ("prepared: text", "data prepare text.tar OUT/p --workers 1", "cannot be read as data"),
        ("prepared: no table", "data prepare 'some bad' OUT/p --workers 1", "0 tables"),
        ("prepared: another layout", "data prepare faces OUT/p --workers 1 --layout utkface", "no labelled picture"),
        *((f"prepared: table {name}", f"data prepare 't-{name}.tar' OUT/p --workers 1", says) for name, says in
          {"columns": "lacks columns", "latin": "readable", "long": "readable", "climbs": "climbs", "absolute": "climbs",
              "nan": "age"}.items()),
        *((f"prepared: {name}", f"data prepare {name}.tar OUT/p --workers 1", says) for name, says in
          {"symlink": "link", "hardlink": "link", "climbing": "climbs", "device": "without a file"}.items()),
        ("prepared: link out of a folder", "data prepare linked OUT/p --workers 1", "leads out"),
        ("scored: split of nobody", QUALITY.replace("--split train", "--split nobody"), "no usable picture"),
        ("scored: missing", QUALITY.replace("--data faces", "--data gone"), "gone does not exist"),
        ("scored: table in Latin-1", QUALITY.replace("--data faces", "--data d-latin"), "table"),
        ("scored: endless field", QUALITY.replace("--data faces", "--data t-long.tar"), "table"),
        *((f"compared: {name}", f"bench compare r-good.json r-{name}.json", says) for name, says in {
            "empty": "cannot be read", "words": "cannot be read", "list": "cannot be read", "half": "cannot be read",
            "no-machine": "cannot be read", "nested": "cannot be read", "machine": "", "cases": "", "case": "", "no-times": "",
            "word-time": "", "zero-time": "", "no-rounds": "rounds", "word-rounds": "",
        }.items()),
        ("compared: missing", "bench compare r-good.json gone.json", "cannot be read"),
        ("compared: folder", "bench compare r-good.json faces", "cannot be read"),
    ),
]  # fmt: skip

AGES = ("nan", "inf", "-5", "200", "old", "''", "1e999", "٧٠x")
OPTIONS = [
    *rows(
        "option",
        *((f"--age {age}", f"cam --age={age}", "age") for age in AGES),
        *((f"--ages 20,{age}", f"cam --ages=20,{age}", "age") for age in AGES),
        *((f"--sweep {age}", f"cam --sweep=5:{age}:6s", "age") for age in AGES[:5]),
        *((f"--sweep seconds {seconds}", f"cam --sweep=5:80:{seconds}", "sweep") for seconds in ("0", "nan", "inf", "-6", "soon", "1e9")),
        ("--sweep of one age", "cam --sweep 5", "sweep"),
        *((f"--strength {value}", f"cam --strength={value}", "--strength") for value in ("nan", "inf", "-5", "200", "much")),
        *((f"--size {size}", f"cam --size={size}", "size") for size in ("0", "0x0", "100000x100000", "wide", "640", "-640x480", "٦٤٠x")),
        *((f"--threads {count}", f"cam --threads={count}", "--threads") for count in ("-1", "100000", "all", "1.5")),
        *((f"--max-frames {count}", f"cam --max-frames={count}", "--max-frames") for count in ("0", "-5", "some")),
        ("an unknown one", "cam --speed 5", "--speed"),
        ("a stray word", "cam faster", "faster"),
        ("one without its value", "cam --age", "--age"),
        ("--age and --ages", "cam --age 5 --ages 5,20", "--ages"),
        ("--age and --sweep", "cam --age 5 --sweep 5:80:6s", "--sweep"),
        ("--mirror of nothing", "cam --mirror", "--mirror"),
        ("the same sink twice", "cam --sink null", "given twice"),
        ("preset", "train faces --preset huge", "preset 'huge'"),
        ("field", "train faces --set speed=5", "speed=5"),
        ("field without a value", "train faces --set lr", "--set 'lr'"),
        ("field name", "train faces --set name=x", "name=x"),
        *((f"--set {change}", f"train faces --set {change}", change.partition("=")[0]) for change in (
            "size=0", "size=100000", "size=65", "size=big", "batch=0", "batch=-5", "batch=100000", "batch=1.5", "lr=nan", "lr=inf", "lr=-5",
            "lr=0", "lr=fast", "steps=-1", "seed=-1", "epochs=nan", "epochs=inf", "widths=", "widths=0", "widths=-8,16", "widths=8,x",
            "widths=100000,100000", "style=0", "family=gpt", "norm=odd", "disc=none", "r1_every=0", "r1=nan", "r1=-1", "beta1=5", "beta2=1",
            "ema=2", "ema=nan", "constant=5", "own=2", "code_repeat=0", "disc_width=0", "jitter=-1", "warmup=-1",
            "bottleneck_blocks=-1", "mask=inf", "adv=nan", "perceptual=1", "disc=features",
        )),
        *((f"train --{option}", f"train faces --{option}", option.partition("=")[0]) for option in (
            "threads=0", "threads=-1", "threads=100000", "save-seconds=nan", "save-seconds=-5", "sample-every=0", "sample-every=-5",
            "save-seconds=inf",
        )),
        ("train without data", "train", "DATA"),
        ("finder without data", "train faces --preset finder", ""),
        ("aligner on a bad table", "train t-nan.tar --preset aligner", ""),
        ("export without names", "export", "CHECKPOINT or MODEL"),
        ("export to another kind", "export good.pt OUT/a.pt", "ends in .onnx"),
        ("fp16 and int8", "export good.pt OUT/a.onnx --fp16 --int8 faces", "exclude each other"),
        ("faces without verify", "export good.pt OUT/a.onnx --faces faces", "--verify"),
        *((f"export --size {size}", f"export good.pt OUT/a.onnx --size={size}", "") for size in ("0", "-5", "100000", "65", "big")),
        *((f"export --batch {batch}", f"export good.pt OUT/a.onnx --engine --batch={batch}", "batch") for batch in
          ("0,0,0", "4,1,1", "1,2", "a,b,c", "1,1,nan", "1,1,100000")),
        *((f"prepare --size {size}", f"data prepare faces OUT/p --size={size}", "--size") for size in ("0", "100000", "big")),
        *((f"prepare --workers {count}", f"data prepare faces OUT/p --workers={count}", "--workers") for count in ("0", "-1", "100000")),
        *((f"prepare --shard-mb {count}", f"data prepare faces OUT/p --workers 1 --shard-mb={count}", "--shard-mb") for count
            in ("0", "-1", "nan", "inf")),
        *((f"prepare --filter {change}", f"data prepare faces OUT/p --workers 1 --filter={change}", "filter") for change
            in ("speed=5", "yaw=nan", "yaw=", "none")),
        ("prepare --layout", "data prepare faces OUT/p --layout zip", "--layout"),
        ("prepare --resume --force", "data prepare faces OUT/p --workers 1 --resume --force", "exclude each other"),
        ("prepare into a full folder", "data prepare faces 'some bad' --workers 1", "is not empty"),
        ("prepare --resume of nothing", "data prepare faces 'some bad' --workers 1 --resume", "nothing to go on with"),
        ("inspect --size", "data inspect faces --size 100000", "--size"),
        ("inspect nothing", "data inspect", "DATA"),
        ("synthesize --identities", "data synthesize OUT/s --identities 0 --age-model judge.onnx", "--identities"),
        ("synthesize --seed", "data synthesize OUT/s --identities 1 --seed -1 --age-model judge.onnx", "--seed"),
        ("synthesize --size", "data synthesize OUT/s --identities 1 --size 100000 --age-model judge.onnx", "--size"),
        ("unknown command of data", "data destroy", "destroy"),
        ("unknown command of bench", "bench nothing", "nothing"),
        *((f"latency --threads {count}", f"bench latency tint.onnx --rounds 1 --threads={count}", "threads") for count
            in ("0", "-1", "all", "1,,2", "100000")),
        *((f"latency --batch {count}", f"bench latency tint.onnx --rounds 1 --threads 1 --batch={count}", "batch") for count
            in ("0", "-1", "many", "100000")),
        *((f"latency --size {size}", f"bench latency good.pt --rounds 1 --threads 1 --size={size}", "") for size
            in ("0", "65", "big", "100000")),
        ("latency --rounds", "bench latency tint.onnx --rounds 0", "--rounds"),
        ("latency --backend", "bench latency tint.onnx --backend abacus", "abacus"),
        ("latency in torch of a model", "bench latency tint.onnx --backend torch", "torch cannot run"),
        ("peers --peer", "bench peers --peer nobody", "nobody"),
        ("peers --backend", "bench peers --backend torch", "torch"),
        *((f"stages --size {size}", f"bench stages --model tint.onnx --size={size}", "size") for size
            in ("0x0", "100000x100000", "wide", "640")),
        *((f"stages --faces {count}", f"bench stages --model tint.onnx --faces={count}", "faces") for count
            in ("0", "-1", "many", "100000")),
        ("stages --age", "bench stages clip.mp4 --age nan", "age 'nan'"),
        *((f"quality --targets {age}", f"{QUALITY} --targets=20,{age}", "age") for age in AGES[:5]),
        ("quality with one target", f"{QUALITY} --targets 20", "too few"),
        ("quality --source-ages", f"{QUALITY} --source-ages 60-20", "empty"),
        ("quality --source-ages in words", f"{QUALITY} --source-ages old-young", "age 'old'"),
        ("quality --clip-ages", f"{QUALITY} --clip clip.mp4 --clip-ages 200", "age '200'"),
        ("quality --limit", f"{QUALITY} --limit 1", "--limit"),
    ),
]  # fmt: skip

DEVICES = [
    *rows(
        "device",
        ("camera by number", "cam --source camera:63", "camera 63 is not there"),
        ("camera by name", "cam --source camera:Obscura", "Obscura"),
        ("camera by a negative number", "cam --source camera:-1", "-1"),
        ("camera by a huge number", "cam --source camera:99999999999999999999", "99999999999999999999"),
        ("unknown", "cam --device abacus", "abacus"),
        ("CUDA", "cam --device cuda", "CUDA"),
        ("TensorRT", "cam --device tensorrt", ""),
        ("no display", "cam --sink window", "no display"),
        ("virtual camera", "cam --sink virtual:/dev/video63", "virtual camera"),
        ("training on CUDA", "train faces --device cuda", "CUDA"),
        ("training on an abacus", "train faces --device abacus", "abacus"),
        ("synthesis on CUDA", "data synthesize OUT/s --identities 1 --age-model judge.onnx --weights text.tar --device cuda", "CUDA"),
        ("synthetic data on an abacus", "train synthetic:age-model=judge.onnx,weights=text.tar,device=abacus", "abacus"),
        ("benchmark on TensorRT", "bench latency tint.onnx --backend tensorrt", "tensorrt"),
        ("benchmark on CUDA", "bench stages clip.mp4 --model tint.onnx --device cuda", "CUDA"),
    ),
    *rows(
        "port",
        ("taken", "cam --sink http:TAKEN", "in use"),
        ("word", "cam --sink http:port", "http:8080"),
        ("none", "cam --sink http:", "http:8080"),
        ("too high", "cam --sink http:70000", "http:8080"),
        ("negative", "cam --sink http:-1", "http:8080"),
        ("of nobody's host", "cam --sink http:nobody.invalid:8080", "nobody.invalid"),
        ("of another's address", "cam --sink http:192.0.2.1:8080", "192.0.2.1"),
        ("of a malformed host", "cam --sink http:a..b:8080", "a..b"),
        ("of a host that is too long", f"cam --sink http:{'x' * 300}:8080", ""),
    ),
]

OUTPUTS = [
    *rows(
        "output",
        ("missing folder, clip", "cam --sink OUT/nowhere/a.mp4", "an existing folder"),
        ("missing folder, photo", "cam --sink OUT/nowhere/a.png", "an existing folder"),
        ("missing folder, statistics", "cam --stats OUT/nowhere/a.json", "an existing folder"),
        ("missing folder, pictures", "cam --sink OUT/nowhere", "cannot write to"),
        ("file as folder", "cam --sink photo.png/a.png", "an existing folder"),
        ("folder as file, statistics", "cam --stats faces", "that is a folder"),
        ("unknown kind", "cam --sink OUT/a.xyz", "cannot write to"),
        ("no kind", "cam --sink OUT/a", "cannot write to"),
        ("empty name", "cam --sink ''", ""),
        ("name too long", f"cam --sink OUT/{'x' * 300}.png", "name"),
        ("name too long, clip", f"cam --sink OUT/{'x' * 300}.mp4", "name"),
        ("name almost too long", f"cam --sink OUT/{'x' * 245}.png", "name"),
        ("onto the source", "cam --sink photo.png", "written over the source"),
        ("onto the source, another way", "cam --sink faces/../photo.png", "written over the source"),
        ("onto the source's folder", "cam --sink .", "written over the source"),
        ("many frames into one picture", "cam --source clip.mp4 --sink OUT/a.png", "--max-frames 1"),
        ("read-only, clip", "cam --sink /sys/a.mp4", "cannot write"),
        ("read-only, photo", "cam --sink /sys/a.png", "cannot write"),
        ("read-only, folder", "cam --sink /sys", "cannot write"),
        ("read-only, statistics", "cam --stats /sys/a.json", "cannot write"),
        ("no file system", "cam --sink /proc/a.png", "cannot write"),
        ("model: missing folder", "export good.pt OUT/nowhere/a.onnx", "an existing folder"),
        ("model: read-only", "export good.pt /sys/a.onnx", "cannot write"),
        ("model: a directory", "export good.pt folder.onnx", "that is a folder"),
        ("model: onto the checkpoint", "export good.pt good.pt", "ends in .onnx"),
        ("run: read-only", "train faces --out /sys/run", "cannot"),
        ("run: a file", "train faces --out photo.png", "photo.png"),
        ("run: below a file", "train faces --out photo.png/run", "photo.png"),
        ("data: read-only", "data prepare faces /sys/p --workers 1", "cannot make"),
        ("data: a file", "data prepare faces photo.png --workers 1", "is a file"),
        ("data: below a file", "data prepare faces photo.png/p --workers 1", "photo.png"),
        ("sheet: missing folder", "data inspect faces --sheet OUT/nowhere/s.png", "an existing folder"),
        ("sheet: unknown kind", "data inspect faces --sheet OUT/s.xyz", "'.xyz'"),
        ("sheet: no kind", "data inspect faces --sheet OUT/s", "s"),
        ("sheet: read-only", "data inspect faces --sheet /sys/s.png", "cannot write"),
        ("report: missing folder", "bench compare r-good.json r-good.json --json OUT/nowhere/a.json", "an existing folder"),
        ("report: read-only", "bench compare r-good.json r-good.json --json /sys/a.json", "cannot write"),
        ("report: a directory", "bench compare r-good.json r-good.json --markdown folder.png", "that is a folder"),
        ("report: charts below a file", "bench latency tint.onnx --rounds 1 --charts photo.png/c", "photo.png"),
        ("scores: below a file", QUALITY.replace("OUT/q", "photo.png/q"), "photo.png"),
        ("scores: read-only", QUALITY.replace("OUT/q", "/sys/q"), "cannot"),
        ("steadiness: below a file",
         "bench steadiness clip.mp4 --age-model judge.onnx --model tint.onnx --max-frames 10 --out photo.png/s", "photo.png"),
        ("faces: below a file", "bench faces --yunet judge.onnx --photos photo.png --out photo.png/f", ""),
        ("smoothing: missing folder", "bench smoothing clip.mp4 --max-frames 10 --json OUT/nowhere/a.json", "an existing folder"),
        ("synthesis: a file", "data synthesize photo.png --identities 1 --age-model judge.onnx --weights text.tar", ""),
    ),
]  # fmt: skip

# a command that writes at most so many bytes to a file, as on a disk that is full by then
FULL = [
    (Row("full disk: photo", "cam --sink OUT/a.png", "cannot write"), 1000),
    (Row("full disk: photo from its first byte", "cam --sink OUT/a.jpg", "cannot write"), 0),
    (Row("full disk: folder", "cam --sink OUT", "cannot write"), 1000),
    (Row("full disk: clip", "cam --source clip.mp4 --sink OUT/a.mp4 --max-frames 20", "cannot write"), 2000),
    (Row("full disk: clip from its first byte", "cam --source clip.mp4 --sink OUT/a.mp4 --max-frames 20", "cannot write"), 0),
    (Row("full disk: Matroska", "cam --source clip.mp4 --sink OUT/a.mkv --max-frames 20", "cannot write"), 2000),
    (Row("full disk: statistics", "cam --stats OUT/a.json", "cannot write"), 10),
    (Row("full disk: model", "export good.pt OUT/a.onnx", "cannot write"), 5000),
    (Row("full disk: checkpoint", "train faces", "cannot write", "run/**/*"), 20_000),
    (Row("full disk: shards", "data prepare faces OUT/p --workers 1 --filter off", "", "p/**/*"), 3000),
    (Row("full disk: sheet", "data inspect faces --sheet OUT/s.png", "cannot write"), 3000),
    (Row("full disk: report", "bench compare r-good.json r-good.json --json OUT/a.json", "cannot write"), 50),
    (Row("full disk: tables", "bench compare r-good.json r-good.json --markdown OUT/a.md", "cannot write"), 50),
]

CUT = [
    Row(f"{name} cut off at {number}", line.replace("FILE", cut_name(name, number)), says)
    for name, line, says in (
        ("photo.jpg", "cam --source FILE", ""),
        ("photo.png", "cam --source FILE", ""),
        ("photo.webp", "cam --source FILE", ""),
        ("short.mp4", "cam --source FILE", ""),
        ("tint.onnx", "cam --model FILE", ""),
        ("good.pt", "export --show FILE", "not a checkpoint"),
        ("faces.tar", "data inspect FILE", ""),
    )
    for number in range(CUTS)
]

GOOD = [
    *rows(
        "works",
        *((name, f"cam --source '{name}' --sink OUT/a.png", "frames", "a.png") for name in (
            "photo.png", "photo.jpg", "photo.webp", "photo.bmp", "photo.tif", "gray.png", "deep.png", "deep.tif", "alpha.png", "one.png",
            "8k.jpg", "cmyk.jpg", "palette.png", "animated.webp", "animated.png", "turned.jpg", EMOJI, NEWLINE, SPACES, "-dash.png",
                "12:30.png",
        )),
        *((name, f"cam --source '{name}' --sink OUT/a.mp4 --max-frames 3", "3 frames", "a.mp4") for name in
          ("animated.gif", "12:30.mp4", "süß 👵🏽.mp4", "two\nlines.mp4")),
        *((f"to {name}", f"cam --sink 'OUT/{name}'", "frames", name) for name in (EMOJI, NEWLINE, SPACES, "12:30.jpg")),
        *((f"clip to {name}", f"cam --source clip.mp4 --max-frames 2 --sink 'OUT/{name}'", "frames", name) for name in
          ("12:30.mp4", "süß 👵🏽.mp4", "two\nlines.mp4", "http:80.mp4", "100%d.mp4")),
        ("ends of the ages", "cam --ages 0,100 --sink OUT/a.png", "frames", "a.png"),
        ("checkpoint shown", "export --show good.pt", "tiny"),
        ("tar looked at", "data inspect faces.tar", "pictures"),
        ("folder looked at", "data inspect faces --sheet OUT/s.png", "pictures", "s.png"),
        ("reports compared", "bench compare r-good.json r-good.json --json OUT/a.json", "same", "a.json"),
        ("model exported", "export good.pt OUT/a.onnx", "wrote", "a.onnx"),
        ("one step trained", "train faces", "1 of 1 steps", "run/**/*"),
    ),
]  # fmt: skip

BAD = [*FILES, *MODELS, *CHECKPOINTS, *SHARDS, *OPTIONS, *DEVICES, *OUTPUTS, *CUT]

PROCESSES = [
    "cam --source gone.png",
    "cam --source text.mp4",
    "cam --source bomb.png",
    "cam --age nan",
    "cam --speed 5",
    "cam --model anywhere.onnx",
    "cam --sink OUT/nowhere/a.mp4",
    "train faces --init runs.pt",
    "export runs-legacy.pt OUT/a.onnx",
    "export good.pt OUT/a.onnx --faces faces",
    "data inspect doubles.tar",
    "data inspect bomb.png",
    "bench compare r-good.json r-half.json",
]
