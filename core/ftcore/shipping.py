"""Writes what people run: GGUFs, each with its Modelfile and its certificate, and a grammar."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from ftcore.export.certificate import Certificate
from ftcore.export.certify import certify
from ftcore.export.ollama import write_modelfiles
from ftcore.export.vocabulary import load_tokenizer
from ftcore.export.writer import export_gguf
from ftcore.files import write_whole
from ftcore.mode import Mode
from ftcore.model_folder import MODEL
from ftcore.prepare import DataSet
from ftcore.progress import Progress
from ftcore.recorder import Recorder
from ftcore.settings import Settings

CERTIFICATE = "certificate.json"
GRAMMAR = "grammar.gbnf"
PROVEN_CONVERSATIONS = 8
"""Conversations of the run that a certificate looks at."""


def export_and_prove(
    recorder: Recorder,
    name: str,
    modes: Mapping[str, Mode],
    data: DataSet,
    settings: Settings,
    progress: Progress,
) -> tuple[Certificate, ...]:
    """Writes and proves a GGUF for each quantization, and enters all files in the record.

    :param name: of the trained model.
    :returns: the certificates, if the settings ask for any.
    """
    folder = recorder.folder
    tokenizer = load_tokenizer(folder / MODEL)
    ggufs: dict[str, Path] = {}
    certificates: list[Certificate] = []
    for quantization in settings.quantization:
        progress.stage(f"Exporting to GGUF ({quantization})")
        path = folder / f"{name}-{quantization}.gguf"
        export_gguf(
            *(folder / MODEL, path, quantization),
            name=name,
            tokenizer=tokenizer,
            progress=progress.advance,
        )
        ggufs[quantization] = path
        if settings.certify:
            several = len(settings.quantization) > 1
            proof = folder / (f"certificate-{quantization}.json" if several else CERTIFICATE)
            certificates.append(_prove(recorder, path, proof, data, tokenizer, progress))
        else:
            recorder.add("gguf", path)
    modelfiles, notes = write_modelfiles(
        folder / MODEL,
        ggufs,
        context=settings.max_seq_length,
        system=recorder.record.system,
        tokenizer=tokenizer,
    )
    recorder.add("modelfile", *modelfiles)
    for note in notes:
        progress.note(note)
    grammars = [mode.grammar() for mode in modes.values()]
    if len(grammars) == 1 and grammars[0] is not None:  # tools would be another one each time
        write_whole(folder / GRAMMAR, grammars[0])
        recorder.add("grammar", folder / GRAMMAR)
    return tuple(certificates)


def _prove(
    recorder: Recorder,
    gguf: Path,
    path: Path,
    data: DataSet,
    tokenizer: PreTrainedTokenizerBase,
    progress: Progress,
) -> Certificate:
    """Writes the certificate of one GGUF. One that fails fails the run."""
    progress.stage(f"Proving {gguf.name}")
    try:
        certificate = certify(
            gguf,
            recorder.folder / MODEL,
            [item.conversation for item in (data.held_out or data.train)[:PROVEN_CONVERSATIONS]],
            tokenizer=tokenizer,
            progress=lambda name, done, total: progress.advance(done, total, name),
        )
    except Exception:  # the file is there all the same
        recorder.add("gguf", gguf)
        raise
    recorder.add("gguf", gguf, digest=certificate.sha256)
    write_whole(path, certificate.to_json())
    recorder.add("certificate", path)
    before = recorder.record.certificate_passed
    recorder.keep(certificate_passed=certificate.passed and before is not False)
    for check in certificate.checks:
        if not check.passed:
            progress.note(f"certificate of {gguf.name}: {check.name} failed: {check.detail}")
    return certificate
