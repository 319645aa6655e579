"""The text of `python -m bnexp --help metrics`: what each metric of a run means. Imports nothing."""

METRICS = """\
BY STEP
    train/loss, train/accuracy            of each step's batch, before the step changes the weights
    moving/<layer>/mean_error             about twenty times a run: how far the moving mean is from the population mean
                                          of that moment's weights, in population standard deviations, averaged over
                                          channels
    moving/<layer>/variance_ratio         moving over population variance, averaged over channels; 1 is right
    monitor/accuracy                      on some test examples while training, watched the way the variant's users
                                          watch it; right variants take no harm
    unit/<layer>/p15, p50, p85            percentiles of what the first unit behind the layer is given, in training
                                          mode: figure 1 of the paper

AT THE END
    test/accuracy                         the headline: inference mode, eval_batch_size examples at a time, after the
                                          final pass
    test/accuracy_before_final_pass       the same weights with the last moving averages
    test/accuracy_batched                 like the headline, in large batches; equal unless inference looks at the batch
    test/accuracy_batch_statistics        normalised with the batch at hand, as in training: what a forgotten flag gives
    test/accuracy_population_statistics   with the population's statistics in place of those that inference uses
    test/population_gain                  what these gain: the harm of the statistics
    test/population_gain_error            the standard error of that gain, paired by example
    test/flips                            predictions that differ between eval_batch_size and large batches; 0 is right
    test/moved                            the most that evaluating changed any moving statistic; 0 is right
    final_pass/<layer>/residual_mean      distance of the mean that inference uses from the mean that it meets over the
                                          training set, in standard deviations, worst channel
    final_pass/<layer>/residual_variance  the same of the variance, as a fraction of it
    ladder/best_decay, ladder/best_accuracy
                                          of the estimators: the decay whose average would have served best, and its
                                          accuracy
    ladder/population_accuracy            the accuracy with the population's statistics on the estimators' examples
    train/seconds, test/seconds           wall-clock time of the training steps and of the evaluation

OF A SWEEP'S PARENT
    sweep/finished, sweep/unfinished, sweep/best_accuracy
"""
