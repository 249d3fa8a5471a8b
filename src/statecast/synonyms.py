"""What other libraries call a setting, for those who come from there.

scikit-learn, PyTorch, Keras, neuralforecast, darts, GluonTS, sktime and statsforecast have other names for the same
things. None of these is accepted: one name means one thing here. But an error that a wrong name causes says the right
one.
"""

from __future__ import annotations

from collections.abc import Collection

from statecast.errors import nearest

SYNONYMS = {
    "random_state": ("seed", "random_seed", "rng"),
    "max_steps": ("steps", "num_steps", "n_steps", "iterations", "num_iterations", "max_iter"),
    "max_epochs": ("epochs", "n_epochs", "num_epochs"),
    "learning_rate": ("lr", "rate", "step_size", "eta"),
    "batch_size": ("batch", "windows_batch_size"),
    "hidden": (
        *("units", "num_units", "n_units", "hidden_size", "hidden_dim", "hidden_units", "num_cells"),
        *("encoder_hidden_size", "layers", "num_layers", "n_layers", "n_rnn_layers", "encoder_n_layers"),
    ),
    "cell": ("rnn", "rnn_type", "cell_type", "model", "layer"),
    "horizon": ("h", "fh", "steps_ahead", "prediction_length", "output_chunk_length", "forecast_horizon"),
    "lags": ("n_lags", "num_lags", "timesteps", "sequence_length", "seq_len"),
    "skip": (
        *("lookback", "look_back", "window", "window_size", "window_length", "input_size", "input_chunk_length"),
        *("context_length", "history_length"),
    ),
    "season": ("seasonality", "seasonal_period", "seasonal_periods", "season_length", "sp", "period"),
    "levels": ("level", "quantiles", "intervals", "prediction_intervals", "interval_width", "alpha"),
    "loss": ("criterion", "objective", "loss_fn", "loss_function"),
    "normalize": ("scaler", "scaler_type", "scale", "scaling", "standardize", "normaliser", "normalizer"),
    "transform": ("log", "boxcox", "box_cox"),
    "patience": ("early_stopping", "early_stopping_rounds", "early_stop_patience_steps", "n_iter_no_change"),
    "val_size": ("validation_split", "val_split", "validation_fraction", "validation_size"),
    "test_size": ("test_split",),
    "threads": ("n_jobs", "num_threads", "workers", "num_workers", "n_threads"),
    "weight_decay": ("l2", "l2_penalty"),
    "clip": ("clipnorm", "grad_clip", "gradient_clip_val", "max_grad_norm", "clip_norm"),
    "ensemble": ("n_estimators", "num_models", "members"),
    "precision": ("dtype",),
    "nonnegative": ("non_negative", "positive"),
    "lower": ("floor", "minimum"),
    "upper": ("cap", "maximum"),
    "holidays": ("country", "country_holidays"),
    "carry": ("stateful",),
    "dense": ("mlp", "decoder_layers"),
}
SETTINGS = {synonym: name for name, synonyms in SYNONYMS.items() for synonym in synonyms}


def suggestion(name: str, known: Collection[str]) -> str:
    """What to write instead of a setting that does not exist.

    Args:
        name: as it was written.
        known: the names of all settings of a face.
    """
    setting = SETTINGS.get(name.lower())
    return f"here it is called {setting!r}" if setting in known else nearest(name, known)
