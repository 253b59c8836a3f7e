"""The detector's twin in TensorFlow: the same network, layer by layer, from the same weights.

Maps are NHWC, the batch is one image, every shape is static. Backbone and encoders are here, the
decoder in decoder.py; both read like their models in models/deimv2, whose weights they take.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from torch import nn

from sightline.errors import ExportError
from sightline.export.deploy import fold
from sightline.export.tensorflow.decoder import decode
from sightline.export.tensorflow.layers import (
    activate,
    constant,
    conv_norm,
    convolve,
    layer_norm,
    linear,
    members,
    self_attention,
    silu,
)
from sightline.models.deimv2.backbone import (
    BackboneStage,
    Block,
    ConvLayer,
    HGNetv2,
    LightLayer,
    Stem,
)
from sightline.models.deimv2.encoder import (
    EncoderLayer,
    FuseBlock,
    GlobalFusion,
    HybridEncoder,
    LiteEncoder,
    RepBlock,
    SplitBlock,
    SplitDown,
    sine_positions,
)
from sightline.models.deimv2.network import DeimV2

LEAST_INPUT_PX = 64  # two cells a side at stride 32: sampling reads pairs of neighbours

Detections = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def build_twin(model: DeimV2) -> Callable[[tf.Tensor], Detections]:
    """The network as a function of pixels (1, S, S, 3) float32 0..255, to be traced.

    It returns boxes (1, K, 4) xyxy in 0..1, scores (1, K) sorted, labels (1, K) int32, as
    DeployedDetector does. The weights become constants.
    """
    if model.input_px < LEAST_INPUT_PX:
        raise ExportError(f"TensorFlow artefacts take {LEAST_INPUT_PX} px or more a side")
    folded = fold(model)

    def twin(pixels: tf.Tensor) -> Detections:
        maps = _backbone(folded.backbone, pixels)
        encoder = folded.encoder
        encoded = (
            _hybrid_encoder(encoder, maps)
            if isinstance(encoder, HybridEncoder)
            else _lite_encoder(encoder, maps)
        )
        return decode(folded.decoder, encoded)

    return twin


def _conv_layer(layer: ConvLayer, x: tf.Tensor, padding: str | None = None) -> tf.Tensor:
    return activate(layer.lab, activate(layer.act, convolve(layer.conv, x, padding)))


def _stem(stem: Stem, image: tf.Tensor) -> tf.Tensor:
    """The 2x2 kernels keep the map's size; SAME pads them with zeros at the end, as meant.

    The pool's padding has to be real zeros: SAME would pad it with -inf.
    """
    x = _conv_layer(stem.stem1, image)
    branch = _conv_layer(stem.stem2a, x, "SAME")
    branch = _conv_layer(stem.stem2b, branch, "SAME")
    padded = tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]])
    pooled = tf.nn.max_pool2d(padded, 2, 1, "VALID")
    return _conv_layer(stem.stem4, _conv_layer(stem.stem3, tf.concat([pooled, branch], axis=3)))


def _block(block: Block, x: tf.Tensor) -> tf.Tensor:
    features = [x]
    for layer in members(block.layers):
        if isinstance(layer, LightLayer):
            features.append(_conv_layer(layer.conv2, _conv_layer(layer.conv1, features[-1])))
        else:
            features.append(_conv_layer(layer, features[-1]))
    squeeze, excite = members(block.aggregation)
    y = _conv_layer(excite, _conv_layer(squeeze, tf.concat(features, axis=3)))
    return y + x if block.residual else y


def _stage(stage: BackboneStage, x: tf.Tensor) -> tf.Tensor:
    if isinstance(stage.downsample, ConvLayer):
        x = _conv_layer(stage.downsample, x)
    for block in members(stage.blocks):
        x = _block(block, x)
    return x


def _backbone(backbone: HGNetv2, image: tf.Tensor) -> list[tf.Tensor]:
    x = _stem(backbone.stem, image)
    maps = []
    for stage in members(backbone.stages):
        x = _stage(stage, x)
        maps.append(x)
    return maps[2:]


def _rep_block(block: RepBlock, x: tf.Tensor) -> tf.Tensor:
    assert block.conv2 is None  # merged by fold
    return silu(conv_norm(block.conv1, x))


def _split_block(block: SplitBlock, x: tf.Tensor) -> tf.Tensor:
    kept, worked = tf.split(conv_norm(block.conv1, x), 2, axis=3)
    for bottleneck in members(block.bottlenecks):
        worked = _rep_block(bottleneck, worked)
    return kept + worked


def _fuse_block(block: FuseBlock, x: tf.Tensor) -> tf.Tensor:
    both = conv_norm(block.cv1, x)
    _, half = tf.split(both, 2, axis=3)
    parts = [both]
    for split_block, conv in (members(block.cv2), members(block.cv3)):
        half = conv_norm(conv, _split_block(split_block, half))
        parts.append(half)
    return conv_norm(block.cv4, tf.concat(parts, axis=3))


def _pool_down(module: nn.Sequential, x: tf.Tensor) -> tf.Tensor:
    """Mean of 3x3 at stride 2, zeros of the padding counted; even sides need none at the end."""
    padded = tf.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]])
    pooled = tf.nn.avg_pool2d(padded, 3, 2, "VALID")
    _, conv, norm, act = members(module)
    return activate(act, activate(norm, convolve(conv, pooled)))


def _global_fusion(module: GlobalFusion, x: tf.Tensor) -> tf.Tensor:
    return conv_norm(module.cv, x + tf.reduce_mean(x, axis=[1, 2], keepdims=True))


def _double(x: tf.Tensor) -> tf.Tensor:
    """Each pixel four times. Without half-pixel centres the source is floor(i / 2) everywhere."""
    size = [2 * x.shape[1], 2 * x.shape[2]]
    return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size)


def _lite_encoder(encoder: LiteEncoder, maps: list[tf.Tensor]) -> list[tf.Tensor]:
    (project,) = members(encoder.input_proj)
    p4 = conv_norm(project, maps[-1])
    p5 = _global_fusion(encoder.bi_fusion, _pool_down(encoder.down_sample1, p4))
    o4 = _fuse_block(encoder.fpn_block, p4 + _double(p5))
    o5 = _fuse_block(encoder.pan_block, p5 + _pool_down(encoder.down_sample2, o4))
    return [o4, o5]


def _encoder_layer(layer: EncoderLayer, x: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    x = layer_norm(layer.norm1, x + self_attention(layer.self_attn, x, position))
    inner = linear(layer.linear1, x)
    gelu = 0.5 * inner * (1 + tf.math.erf(inner * 0.5**0.5))
    return layer_norm(layer.norm2, x + linear(layer.linear2, gelu))


def _hybrid_encoder(encoder: HybridEncoder, maps: list[tf.Tensor]) -> list[tf.Tensor]:
    projects = members(encoder.input_proj)
    q4, q5 = (conv_norm(project, x) for project, x in zip(projects, maps, strict=True))
    _, rows, columns, width = q5.shape
    position = constant(sine_positions(rows, columns, width)[0])
    tokens = tf.reshape(q5, [rows * columns, width])
    (stack,) = members(encoder.encoder)
    for layer in members(stack.layers):
        tokens = _encoder_layer(layer, tokens, position)
    (reduce,) = members(encoder.lateral_convs)
    (up_block,) = members(encoder.fpn_blocks)
    ((down,),) = members(encoder.downsample_convs)
    (down_block,) = members(encoder.pan_blocks)
    lateral = conv_norm(reduce, tf.reshape(tokens, q5.shape))
    o4 = _fuse_block(up_block, q4 + _double(lateral))
    o5 = _fuse_block(down_block, lateral + _split_down(down, o4))
    return [o4, o5]


def _split_down(module: SplitDown, x: tf.Tensor) -> tf.Tensor:
    return conv_norm(module.cv2, conv_norm(module.cv1, x))
