"""What transformers makes of videos: python3 video_inputs.py MODEL FRAMES tests/Fixtures/goldens/videos.json

MODEL is samples/glm-4.6v-mini, FRAMES the folder that holds frame0.png to frame3.png and tiny_20x15.png. Two parts: which classes AutoProcessor and AutoVideoProcessor
choose for the files that a folder may have; and for both processors, what prompts with videos become, down to the greedy answer in float32.
"""
import hashlib
import itertools
import json
import os
import shutil
import sys
import tempfile

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor, Glm4vForConditionalGeneration
from transformers.video_utils import VideoMetadata

model_folder, frames_folder, result_file = sys.argv[1:4]


def variant(changes, model_type="glm4v"):
    """A copy of the model's folder without weights; a file's keys are replaced, None removes a key or a file."""
    folder = tempfile.mkdtemp()
    for name in os.listdir(model_folder):
        if not name.endswith(".safetensors") and not name.endswith(".index.json"):
            shutil.copy(os.path.join(model_folder, name), folder)
    for name, keys in [("config.json", {"model_type": model_type}), *changes.items()]:
        path = os.path.join(folder, name)
        if keys is None:
            os.remove(path)
            continue
        content = json.load(open(path)) if os.path.exists(path) else {}
        for key, value in keys.items():
            content.pop(key, None)
            if value is not None:
                content[key] = value
        json.dump(content, open(path, "w"))
    return folder


def choices():
    image_types = ["Glm46VImageProcessor", "Glm4vImageProcessor"]
    for model_type, processor, image, video in itertools.product(["glm4v", "glm46v"], [None, "Glm46VProcessor", "Glm4vProcessor"], image_types, ["absent", None, "Glm46VVideoProcessor", "Glm4vVideoProcessor"]):
        folder = variant({
            "preprocessor_config.json": {"processor_class": processor, "image_processor_type": image},
            "video_preprocessor_config.json": None if video == "absent" else {"processor_class": None, "video_processor_type": video},
        }, model_type)
        found = AutoProcessor.from_pretrained(folder)
        yield {"model_type": model_type, "processor_class": processor, "image_processor_type": image, "video_processor_type": video,
               "processor": type(found).__name__, "video_processor": type(found.video_processor).__name__}
        shutil.rmtree(folder)


def frames(count):
    return [Image.open(os.path.join(frames_folder, f"frame{i % 4}.png")).convert("RGB") for i in range(count)]


def cases(name, processor, model):
    picture = Image.open(os.path.join(frames_folder, "tiny_20x15.png")).convert("RGB")
    # (parts of the message, videos as (frames, rate); no rate: frames that are taken as they are)
    for parts, videos in [(["video"], [(20, 8.0)]), (["video"], [(5, 2.0)]), (["video"], [(3, None)]), (["video"], [(70, 1.5)]), (["image", "video", "video"], [(4, 2.0), (7, None)]), (["video", "image"], [(6, 24.0)])]:
        content = [{"type": part} for part in parts] + [{"type": "text", "text": "Describe this video."}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
        rows = []
        for count, rate in videos:
            if rate is None:
                indices = list(range(count))
                metadata = VideoMetadata(total_num_frames=count, fps=None, frames_indices=indices)
            else:
                metadata = VideoMetadata(total_num_frames=count, fps=rate)
                indices = [int(i) for i in processor.video_processor.sample_frames(metadata)]
                metadata.frames_indices = indices
            all_frames = frames(count)
            rows.append(([np.array(all_frames[i]) for i in indices], metadata, indices))
        inputs = processor(
            text=[text], images=[picture] if "image" in parts else None, videos=[np.stack(frames) for frames, _, _ in rows], video_metadata=[metadata for _, metadata, _ in rows],
            do_sample_frames=False, return_tensors="pt")
        positions, delta = model.model.get_rope_index(
            inputs["input_ids"], mm_token_type_ids=inputs["mm_token_type_ids"], image_grid_thw=inputs.get("image_grid_thw"), video_grid_thw=inputs.get("video_grid_thw"))
        # transformers 5.12.1 cannot run pictures and videos in one prompt: it takes the tokens of both for pictures.
        made = None
        if "image" not in parts:
            with torch.no_grad():
                made = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1]:].tolist()
        pixels = inputs["pixel_values_videos"].float().contiguous().numpy()
        yield {
            "processor": name, "parts": parts, "videos": [{"frames": count, "fps": rate, "sampled": indices} for (count, rate), (_, _, indices) in zip(videos, rows)],
            "input_ids": inputs["input_ids"][0].tolist(), "mm_token_type_ids": inputs["mm_token_type_ids"][0].tolist(),
            "video_grid_thw": inputs["video_grid_thw"].tolist(), "position_ids": positions[:, 0].tolist(), "rope_delta": int(delta[0]),
            "pixel_values_videos_sum": float(pixels.astype("float64").sum()), "sha256_f32le": hashlib.sha256(pixels.astype("<f4").tobytes()).hexdigest(),
            "greedy": made,
        }


result = {"choices": list(choices()), "cases": []}
model = Glm4vForConditionalGeneration.from_pretrained(model_folder, dtype=torch.float32).eval()
for name, changes in {
    "Glm46VProcessor": {},
    "Glm4vProcessor": {
        "preprocessor_config.json": {"processor_class": "Glm4vProcessor", "image_processor_type": "Glm4vImageProcessor"},
        "video_preprocessor_config.json": {"processor_class": "Glm4vProcessor", "video_processor_type": "Glm4vVideoProcessor"},
    },
}.items():
    processor = AutoProcessor.from_pretrained(variant(changes))
    assert type(processor).__name__ == name, type(processor)
    result["cases"] += cases(name, processor, model)
json.dump(result, open(result_file, "w"))
