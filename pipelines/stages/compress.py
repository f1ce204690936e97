"""HALA step 1: the teacher's Linear weights in FP8, per-channel scales, no calibration data, lm_head left alone."""

from __future__ import annotations

from pipelines.stage import NoSettings

SETTINGS = NoSettings


def compress(stage_json: str, teacher_path: str, compressed_path: str) -> dict[str, float]:
    """Write the compressed folder (its report inside) and return the size and error figures."""
    from pathlib import Path

    from pipelines.stage import running
    from sindbad.training.compress import compress_folder

    with running(stage_json, teacher_path) as stage:
        report = compress_folder(Path(teacher_path), Path(compressed_path))
        worst = max(layer.max_relative for layer in report.layers)
        stage.say(f"{report.bytes_before:,} → {report.bytes_after:,} bytes, worst element error {worst:.4f} (≤ 0.0625)")
        return {
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
            "size_ratio": report.ratio,
            "max_relative_error": worst,
            "mean_layer_error": sum(layer.relative for layer in report.layers) / len(report.layers),
        }
