"""llama-server on a file, and questions to it."""
import contextlib, json, math, os, socket, subprocess, sys, tempfile, time, urllib.error, urllib.request


@contextlib.contextmanager
def serve(file, options=()):
    """Starts llama-server on two threads; gives a function (path, body) -> answer. The server ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        # Without a name given, the marker of pictures in prompts is drawn anew by each server.
        server = subprocess.Popen(["llama-server", "-m", file, "-t", "2", "-np", "1", "--port", str(port), "--no-webui", *options], stdout=log, stderr=log,
                                  env={**os.environ, "LLAMA_MEDIA_MARKER": "<__media__>"})
        try:
            for _ in range(600):
                if server.poll() is not None:
                    break
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                    break
                except OSError:
                    time.sleep(0.1)
            if server.poll() is not None:
                log.seek(0)
                sys.exit("llama-server ended: " + log.read().decode(errors="replace")[-2000:])

            def ask(path, body):
                request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
                try:
                    return json.load(urllib.request.urlopen(request, timeout=120))
                except urllib.error.HTTPError as refusal:
                    sys.exit(f"llama-server refused {path}: {refusal} {refusal.read().decode(errors='replace')[:500]}")

            yield ask
        finally:
            # llama-server 0.7.0 now and then loses the request to end.
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def next_token(file, prompts, vocabulary, answer_with=None, options=()):
    """For each prompt, the log-probabilities of all next tokens. answer_with: the token to say, whose text must be whole characters."""
    results = []
    with serve(file, ["-c", "512", *options]) as ask:
        for prompt in prompts:
            answer = ask("/completion", {"prompt": prompt, "n_predict": 1, "n_probs": vocabulary, "temperature": 0, "ignore_eos": True, "cache_prompt": False,
                                         **({} if answer_with is None else {"logit_bias": [[answer_with, 1000.0]]})})
            found = {entry["id"]: entry["logprob"] for entry in answer["completion_probabilities"][0]["top_logprobs"]}
            results.append([found.get(i, -math.inf) for i in range(vocabulary)])
    return results
