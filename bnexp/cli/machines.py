"""The text of `python -m bnexp --help machines`: sweeps on several processes and machines. Imports nothing."""

MACHINES = """\
A sweep's jobs run one after the other, unless a launcher is named. Each launcher is an extra:

    python -m pip install -e '.[joblib]'        likewise ray, submitit and optuna

Whichever it is, the sweep's run in MLflow has one run below it for each job. A job that fails is FAILED with its
message and stops no other; the command then ends with status 1.

PROCESSES ON ONE MACHINE
    python -m bnexp -m hydra/launcher=joblib hydra.launcher.n_jobs=2 seed=0,1,2,3,4,5,6,7

Each process starts TensorFlow for itself, which pays from a few jobs a process on, and fills its share of the cores.
TF_NUM_INTRAOP_THREADS, if you set it, decides instead. A convolution's last digits depend on the number of threads.

A SEARCH
    python -m bnexp -m hydra/sweeper=optuna hydra.sweeper.n_trials=20 'decay=interval(0.5,0.999)'

Optuna looks for the highest test/accuracy, the accuracy at eval_batch_size. The sweep's run names the best job in the
tag bnexp.sweep.best. hydra/sweeper/sampler=grid tries every combination instead; with a launcher,
hydra.sweeper.n_jobs=2 runs two trials at a time.

THE TRACKING SERVER
Other machines cannot reach runs/mlflow.db, and a job there that is given it says so. Where PostgreSQL has a database
`mlflow`, these keep runs and artifacts:

    python -m pip install 'psycopg[binary]'
    python -m mlflow server --host 127.0.0.1 --port 5000 --workers 2 --artifacts-destination ./artifacts \\
        --backend-store-uri postgresql://postgres@127.0.0.1:5432/mlflow

--artifacts-destination takes a bucket as well. --host 0.0.0.0 lets other machines in by a private address, and by name
where --allowed-hosts HOST:5000,127.0.0.1:5000 lists it with the port; with that option, only what it lists. The
machines need the same bnexp and, for submitit, the same paths, as a shared disk gives them. A job works in the folder
where the sweep was started if its machine has that folder; otherwise dataset.path must be absolute.

A RAY CLUSTER
The first line on one machine, the second on every other, the third on any of them. Ray lets everybody who reaches its
ports run programs: do not let them be reached from outside.

    ray start --head --port 6379 --include-dashboard false
    ray start --address HOST:6379 --num-cpus 1
    RAY_ADDRESS=HOST:6379 python -m bnexp -m hydra/launcher=ray_cluster tracking.uri=http://HOST:5000 decay=0.9,0.99

--num-cpus is how many jobs a machine takes at once. hydra/launcher=ray starts a cluster on this machine alone, and Ray
then leaves a token in ~/.ray. Once there is one, set RAY_AUTH_MODE=token (or disabled) in all three lines, or the
machines do not let each other in.

SLURM
One array of jobs, one task each, started on a login node; there the command waits for them. Where Ctrl-C ends it, they
go on.

    python -m bnexp -m hydra/launcher=submitit_slurm hydra.launcher.partition=debug hydra.launcher.timeout_min=30 \\
        hydra.launcher.cpus_per_task=1 tracking.uri=http://HOST:5000 decay=0.5,0.9,0.99

A job that scancel, its time limit or a preemption ends is KILLED in MLflow with what it measured, and the others go on.
One that Slurm queues again goes on in its own run. The same command with resume=true takes up the rest. Slurm's
accounting must be on: without it submitit waits for ever for a job that was killed before it could answer.
hydra/launcher=submitit_local tries all this without Slurm.

Seen to work: Slurm on one node, Ray on three nodes of one machine; neither on a network of machines.
"""
