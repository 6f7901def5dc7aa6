"""The rules of one model folder: layout, configuration, ONNX files, smoke test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cohost import onnx_fit, onnx_signature, smoke_fit
from cohost.errors import InputError, Problem
from cohost.folder import CONFIG, SMOKE, ModelFile, Scan, is_lfs_pointer, shown
from cohost.manifest import LFS_FAULT
from cohost.modelconfig import ENSEMBLE, datatype_of, parse, signature_of
from cohost.words import did_you_mean

_VERSION: Final = re.compile(r"[1-9][0-9]*")
_STEP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_ONNX: Final = frozenset({"onnxruntime", "onnxruntime_onnx"})
# A pointer has three short lines (git-lfs docs/spec.md: less than 1024 bytes).
_POINTER_MAX: Final = 1024


class ModelCheck:
    """Looks at one model folder and collects what is wrong with it.

    Attributes:
        problems: What was found.
        names: Names of the Triton models in the folder; the served one and the steps of an ensemble.
    """

    def __init__(self, scan: Scan, name: str) -> None:
        """Prepares the check.

        Args:
            scan: The folder's content.
            name: The catalog's name of the model.
        """
        self.problems: list[Problem] = []
        self.names: tuple[str, ...] = (name,)
        self._scan = scan
        self._name = name
        self._files: dict[str, ModelFile] = {file.path: file for file in scan.files}

    def run(self) -> None:
        """Fills `problems` and `names`, cheap checks first."""
        for path, fault in self._scan.faults:
            self._problem(path, "", fault)
        pointers = self._pointers()
        if self._scan.is_repository:
            served = self._repository(pointers)
        else:
            served = self._model("", self._name, pointers)
        if served is not None:
            self._smoke(served)

    def _pointers(self) -> frozenset[str]:
        small = [path for path, file in self._files.items() if 0 < file.size < _POINTER_MAX]
        found = frozenset(path for path in small if is_lfs_pointer(self._read(path) or b""))
        for path in found:
            self._problem(path, "", LFS_FAULT)
        return found

    def _repository(self, pointers: frozenset[str]) -> Any | None:
        folders = sorted({path.split("/")[0] for path in self._files if "/" in path})
        self.names = tuple(folders)
        for path in self._files:
            if "/" not in path and path != SMOKE:
                self._problem(path, "", f"only model folders and {SMOKE} may stand beside the ensemble")
        for folder in folders:
            if not _STEP.fullmatch(folder):
                self._problem(folder, "", "a model's name has letters, digits, dots, dashes and underscores only")
        configs = {folder: self._model(f"{folder}/", folder, pointers) for folder in folders}
        known = {folder: config for folder, config in configs.items() if config is not None}
        ensembles = [folder for folder, config in known.items() if config.platform == ENSEMBLE]
        if len(ensembles) != 1:
            have = " and ".join(ensembles) or "none"
            self._problem("", "", f'needs exactly one model with platform: "{ENSEMBLE}", it has {have}')
            return None
        if ensembles[0] != self._name:
            message = f'the ensemble\'s folder must be named "{self._name}", as the model in the catalog'
            self._problem(ensembles[0], "", message)
        self._ensemble(ensembles[0], known)
        return known[ensembles[0]]

    def _model(self, prefix: str, name: str, pointers: frozenset[str]) -> Any | None:
        """Checks one Triton model and returns its configuration, or None where there is none to go on with."""
        where = prefix + CONFIG
        if where not in self._files:
            self._problem(where, "", "is missing: Triton needs one for each model (`cohost add` makes one)")
            return None
        data = None if where in pointers else self._read(where)
        if data is None:
            return None
        try:
            config = parse(data, self._shown(where))
        except InputError as error:
            self.problems += error.problems
            return None
        if config.name and config.name != name:
            self._problem(where, "name", f'is "{config.name}", the model is "{name}": make them equal or leave it out')
        self._tensors(where, config)
        self._versions(prefix, where, config, pointers)
        return config

    def _tensors(self, where: str, config: Any) -> None:
        if config.max_batch_size < 0:
            self._problem(where, "max_batch_size", "must be 0 (no batching) or more")
        for kind, tensors in (("input", config.input), ("output", config.output)):
            if not tensors:
                self._problem(where, kind, f"is missing: callers and the smoke test need every {kind}")
            names = [tensor.name for tensor in tensors]
            for name in sorted({name for name in names if names.count(name) > 1}):
                self._problem(where, f"{kind} {name}", "stands twice")
            for tensor in tensors:
                self._tensor(where, kind, tensor)

    def _tensor(self, where: str, kind: str, tensor: Any) -> None:
        key = f"{kind} {tensor.name}"
        if not tensor.name:
            self._problem(where, kind, "needs a name")
        if datatype_of(tensor) == "INVALID":
            self._problem(where, f"{key}.data_type", "is missing: TYPE_FP32, TYPE_INT64, TYPE_STRING…")
        if not tensor.dims:
            self._problem(where, f"{key}.dims", "is missing: a scalar has dims: [ 1 ] and reshape { shape: [ ] }")
        elif any(length == 0 or length < -1 for length in tensor.dims):
            self._problem(where, f"{key}.dims", f"{list(tensor.dims)} must be lengths of 1 or more, or -1 for any")

    def _versions(self, prefix: str, where: str, config: Any, pointers: frozenset[str]) -> None:
        below = [path[len(prefix) :] for path in self._files if path.startswith(prefix)]
        folders = {path.split("/")[0] for path in below if "/" in path}
        versions = sorted(folder for folder in folders if _VERSION.fullmatch(folder))
        if not versions:
            self._problem(f"{prefix}1", "", "is missing: a model needs a version folder with at least one file")
        backend = config.backend or config.platform
        if not backend:
            self._problem(where, "backend", 'is missing: backend: "onnxruntime"')
        if backend in _ONNX:
            for version in versions:
                self._onnx(f"{prefix}{version}/{config.default_model_filename or 'model.onnx'}", config, pointers)

    def _onnx(self, path: str, config: Any, pointers: frozenset[str]) -> None:
        if path in pointers:
            return
        if path not in self._files:
            folder = path.rpartition("/")[0]
            beside = [p.rpartition("/")[2] for p in self._files if p.rpartition("/")[0] == folder]
            self._problem(path, "", "is missing" + did_you_mean(path.rpartition("/")[2], beside))
            return
        try:
            model = onnx_signature.read(self._scan.folder / path)
        except onnx_signature.NotOnnx as error:
            self._problem(path, "", str(error))
            return
        except OSError as error:
            self._problem(path, "", f"cannot be read: {error.strerror}")
            return
        config_file = path.rsplit("/", 2)[0] + f"/{CONFIG}" if path.count("/") > 1 else CONFIG
        for key, message in onnx_fit.misfits(config, model):
            self._problem(config_file, key, message)
        for name in model.external:
            beside = f"{path.rpartition('/')[0]}/{name}"
            if beside not in self._files:
                self._problem(path, "", f'its weights are in "{name}", which is not beside it')

    def _ensemble(self, name: str, configs: Mapping[str, Any]) -> None:
        where = f"{name}/{CONFIG}"
        steps = configs[name].ensemble_scheduling.step
        if not steps:
            self._problem(where, "ensemble_scheduling", "has no step")
        others = [folder for folder in configs if folder != name]
        for index, step in enumerate(steps):
            key = f"ensemble_scheduling.step[{index}]"
            config = configs.get(step.model_name)
            if step.model_name not in others or config is None:
                hint = did_you_mean(step.model_name, others)
                self._problem(where, f"{key}.model_name", f'there is no model "{step.model_name}" beside it{hint}')
                continue
            self._map(where, f"{key}.input_map", step.input_map, [tensor.name for tensor in config.input])
            self._map(where, f"{key}.output_map", step.output_map, [tensor.name for tensor in config.output])

    def _map(self, where: str, key: str, mapped: Mapping[str, str], known: Iterable[str]) -> None:
        known = list(known)
        for name in sorted(set(mapped) - set(known)):
            self._problem(where, key, f'the step has no tensor "{name}"{did_you_mean(name, known)}')

    def _smoke(self, config: Any) -> None:
        if SMOKE not in self._files:
            self._problem(SMOKE, "", "is missing: a deployment sends it to the model before callers get it")
            return
        data = self._read(SMOKE)
        if data is not None:
            optional = frozenset(tensor.name for tensor in config.input if tensor.optional)
            self.problems += smoke_fit.misfits(data, self._shown(SMOKE), signature_of(config), optional)

    def _read(self, path: str) -> bytes | None:
        try:
            return (self._scan.folder / path).read_bytes()
        except OSError as error:
            self._problem(path, "", f"cannot be read: {error.strerror}")
            return None

    def _shown(self, path: str) -> str:
        return shown(self._scan.folder / path)

    def _problem(self, path: str, key: str, message: str) -> None:
        problem = Problem(self._shown(path), key, message)
        if problem not in self.problems:
            self.problems.append(problem)
