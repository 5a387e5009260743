BEGIN TRANSACTION;
CREATE TABLE ps_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT ps_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "ps_alembic_version" VALUES('0007');
CREATE TABLE ps_attempt (
	id INTEGER NOT NULL, 
	study TEXT NOT NULL, 
	trial BIGINT NOT NULL, 
	number BIGINT NOT NULL, 
	device TEXT NOT NULL, 
	device_class TEXT NOT NULL, 
	recipe JSON NOT NULL, 
	digest TEXT NOT NULL, 
	seed BIGINT NOT NULL, 
	started DATETIME NOT NULL, 
	ended DATETIME, 
	device_seconds DOUBLE, 
	counts BOOLEAN NOT NULL, 
	outcome TEXT, 
	failure TEXT, 
	message TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	train_seconds DOUBLE, 
	wall_seconds DOUBLE, 
	accuracy DOUBLE, 
	test_accuracy DOUBLE, 
	training_flops DOUBLE, 
	inference_flops BIGINT, 
	parameters BIGINT, 
	peak_memory_bytes BIGINT, 
	images_per_second DOUBLE, 
	energy_joules DOUBLE, 
	noisy BOOLEAN NOT NULL, purpose TEXT DEFAULT 'search' NOT NULL, 
	CONSTRAINT pk_ps_attempt PRIMARY KEY (id), 
	CONSTRAINT ck_ps_attempt_counts CHECK (NOT counts OR (outcome = 'complete' AND train_seconds IS NOT NULL AND accuracy IS NOT NULL AND train_seconds >= 0 AND train_seconds < 1e300 AND accuracy >= 0 AND accuracy <= 1)), 
	CONSTRAINT uq_ps_attempt_study_trial_number UNIQUE (study, trial, number), 
	CONSTRAINT fk_ps_attempt_study FOREIGN KEY(study) REFERENCES ps_study (name), 
	CONSTRAINT fk_ps_attempt_device FOREIGN KEY(device) REFERENCES ps_device (uuid)
);
INSERT INTO "ps_attempt" VALUES(1,'old',0,1,'cpu-here-0','cpu:Some CPUx2','{"augmentation": "standard", "batch_size": 128, "channel_multiple": 8, "compile": "off", "dataset": "mnist", "epochs": 12, "headroom": 2, "image_size": 0, "learning_rate": 0.1, "learning_rate_rule": "linear", "methods": {"label_smoothing": {"alpha": 0.1}}, "momentum": 0.9, "network": "convnet", "norm_batches": 8, "number_format": "fp32", "pooling": "native", "reference_batch_size": 128, "schedule": "one_cycle", "seed": 0, "train_images": 0, "weight_decay": 0.0005, "width": 1.0}','92344979315a52f4',0,'2026-11-26 00:37:03.451061','2026-11-26 00:37:03.472718',1.13262069990014424547e-02,1,'complete',NULL,'','',30.25,31.5,0.875,0.8125,4.50359962737049700004e+15,9007199254740993,271117,11811160064,1234.5,6789.0,1,'search');
CREATE TABLE ps_device (
	uuid TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	device_class TEXT NOT NULL, 
	memory_bytes BIGINT NOT NULL, 
	host TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	cores JSON NOT NULL, 
	CONSTRAINT pk_ps_device PRIMARY KEY (uuid)
);
INSERT INTO "ps_device" VALUES('cpu-here-0','cpu','Some CPU','cpu:Some CPUx2',8589934592,'here',0,'[0, 1]');
CREATE TABLE ps_epoch (
	attempt INTEGER NOT NULL, 
	epoch BIGINT NOT NULL, 
	train_seconds DOUBLE NOT NULL, 
	accuracy DOUBLE NOT NULL, 
	loss DOUBLE NOT NULL, 
	learning_rate DOUBLE NOT NULL, 
	batch_size BIGINT NOT NULL, 
	parameters BIGINT NOT NULL, 
	flops_per_image BIGINT NOT NULL, 
	step_seconds DOUBLE NOT NULL, 
	step_seconds_iqr DOUBLE NOT NULL, 
	skipped_steps BIGINT NOT NULL, loss_scale DOUBLE, overflow_share DOUBLE, 
	CONSTRAINT pk_ps_epoch PRIMARY KEY (attempt, epoch), 
	CONSTRAINT fk_ps_epoch_attempt FOREIGN KEY(attempt) REFERENCES ps_attempt (id)
);
INSERT INTO "ps_epoch" VALUES(1,1,1.5,0.1,2.0,0.05,128,1001,5000,0.01,0.001,1,2.0,0.125);
INSERT INTO "ps_epoch" VALUES(1,2,3.0,0.2,1.0,0.05,128,1002,5000,0.01,0.001,0,NULL,0.0);
INSERT INTO "ps_epoch" VALUES(1,3,4.5,3.00000000000000044408e-01,6.66666666666666629659e-01,0.05,128,1003,5000,0.01,0.001,1,8.0,0.125);
CREATE TABLE ps_front_event (
	id INTEGER NOT NULL, 
	study TEXT NOT NULL, 
	device_class TEXT NOT NULL, 
	trial BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	cause BIGINT NOT NULL, 
	hypervolume DOUBLE NOT NULL, 
	reference_seconds DOUBLE NOT NULL, 
	device_seconds DOUBLE NOT NULL, 
	moment DATETIME NOT NULL, 
	CONSTRAINT pk_ps_front_event PRIMARY KEY (id), 
	CONSTRAINT fk_ps_front_event_study FOREIGN KEY(study) REFERENCES ps_study (name)
);
INSERT INTO "ps_front_event" VALUES(1,'old','cpu:Some CPUx2',0,'entered',0,2.64687500000000497379e+00,3.32750000000000056843e+01,1.13262069990014424547e-02,'2026-11-26 00:37:03.512268');
CREATE TABLE ps_launcher (
	study TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	holder TEXT NOT NULL, 
	since DATETIME NOT NULL, 
	CONSTRAINT pk_ps_launcher PRIMARY KEY (study)
);
CREATE TABLE ps_phase (
	attempt INTEGER NOT NULL, 
	number BIGINT NOT NULL, 
	epoch BIGINT NOT NULL, 
	steps BIGINT NOT NULL, 
	batch_size BIGINT NOT NULL, 
	tier TEXT NOT NULL, 
	pattern TEXT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	step_seconds DOUBLE NOT NULL, 
	step_seconds_iqr DOUBLE NOT NULL, 
	changes JSON NOT NULL, rebuild_seconds DOUBLE, 
	CONSTRAINT pk_ps_phase PRIMARY KEY (attempt, number), 
	CONSTRAINT fk_ps_phase_attempt FOREIGN KEY(attempt) REFERENCES ps_attempt (id)
);
INSERT INTO "ps_phase" VALUES(1,0,0,200,128,'eager','',20.5,0.1025,0.001,'[]',NULL);
INSERT INTO "ps_phase" VALUES(1,1,1,100,64,'graph','some method shrinks',9.0,0.09,0.002,'[{"do": "resize", "sizes": {"stem": 48}}]',0.125);
CREATE TABLE ps_stop_decision (
	attempt INTEGER NOT NULL, 
	epoch BIGINT NOT NULL, 
	train_seconds DOUBLE NOT NULL, 
	least_seconds DOUBLE NOT NULL, 
	most_accuracy DOUBLE NOT NULL, 
	dominated_by BIGINT NOT NULL, 
	curves BIGINT NOT NULL, 
	audited BOOLEAN NOT NULL, 
	moment DATETIME NOT NULL, 
	CONSTRAINT pk_ps_stop_decision PRIMARY KEY (attempt), 
	CONSTRAINT fk_ps_stop_decision_attempt FOREIGN KEY(attempt) REFERENCES ps_attempt (id)
);
CREATE TABLE ps_study (
	name TEXT NOT NULL, 
	text TEXT NOT NULL, 
	space_hash TEXT NOT NULL, 
	space JSON NOT NULL, 
	sampler TEXT NOT NULL, 
	seed BIGINT NOT NULL, 
	device_class TEXT NOT NULL, 
	versions JSON NOT NULL, 
	created DATETIME NOT NULL, number_formats JSON DEFAULT '{}' NOT NULL, data_sets JSON, 
	CONSTRAINT pk_ps_study PRIMARY KEY (name)
);
INSERT INTO "ps_study" VALUES('old','name = "old"
','0123456789abcdef','{"fixed": {"epochs": 3}, "axes": {"batch_size": {"low": 32, "high": 1024}}}','nsga2',7,'cpu:Some CPUx2','{"torch": "2.9.0"}','2026-11-26 00:37:03.397351','{"fp16": {"relative": 270.5, "reason": "is 270 times slower than fp32", "slow": true}}','{"fashion-mnist": {"digest": "0123456789abcdef", "images": {"train": 8, "validation": 4, "test": 4}, "classes": 2}}');
CREATE TABLE ps_surgery (
	attempt INTEGER NOT NULL, 
	number BIGINT NOT NULL, 
	epoch BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	channels_before BIGINT NOT NULL, 
	channels_after BIGINT NOT NULL, 
	seconds DOUBLE NOT NULL, figures JSON DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_ps_surgery PRIMARY KEY (attempt, number), 
	CONSTRAINT fk_ps_surgery_attempt FOREIGN KEY(attempt) REFERENCES ps_attempt (id)
);
INSERT INTO "ps_surgery" VALUES(1,0,1,'prune',64,48,0.25,'{"weakest": 0.5}');
CREATE UNIQUE INDEX ix_ps_attempt_counts ON ps_attempt (study, device_class, trial) WHERE counts;
CREATE INDEX ix_ps_front_event_study_device_class ON ps_front_event (study, device_class);
CREATE VIEW ps_pareto_front AS
SELECT study, device_class, trial, train_seconds, accuracy, digest, attempt, test_accuracy, noisy, wall_seconds,
       training_flops, inference_flops, parameters, peak_memory_bytes, images_per_second, energy_joules, seed, recipe
FROM (
    SELECT id AS attempt, study, device_class, trial, train_seconds, accuracy, digest, test_accuracy, noisy,
           wall_seconds, training_flops, inference_flops, parameters, peak_memory_bytes, images_per_second,
           energy_joules, seed, recipe,
           max(accuracy) OVER (
               PARTITION BY study, device_class
               ORDER BY train_seconds, accuracy DESC, trial
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS best_before
    FROM ps_attempt
    WHERE counts
) AS results
WHERE best_before IS NULL OR accuracy > best_before;
COMMIT;
