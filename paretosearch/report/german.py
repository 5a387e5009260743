"""What figures and tables say, in German."""

#: By what they say in English. Names that a thesis uses as they are, such as those of Methods, are not here.
GERMAN = {
    "training time (s)": "Trainingszeit (s)",
    "training\ntime (s)": "Trainings-\nzeit (s)",
    "validation accuracy (%)": "Validierungsgenauigkeit (%)",
    "validation\naccuracy (%)": "Validierungs-\ngenauigkeit (%)",
    "Pareto front": "Pareto-Front",
    "on the front": "auf der Front",
    "dominated": "dominiert",
    "{count} below the axis": "{count} unterhalb der Achse",
    "only point": "einziger Punkt",
    "fastest": "schnellster",
    "best": "genauester",
    "knee": "Knie",
    "trial": "Versuch",
    "trial {number}": "Versuch {number}",
    "trials {numbers}": "Versuche {numbers}",
    "{name} (trial {trial})\n{seconds} s, {accuracy} %": "{name} (Versuch {trial})\n{seconds} s, {accuracy} %",
    "grown": "gewachsen",
    "pruned": "beschnitten",
    "grown and pruned": "gewachsen, beschnitten",
    "single trainings, not confirmed": "einzelne Trainings, nicht bestätigt",
    "first results, before repeats": "erste Ergebnisse, vor Wiederholungen",
    "front of the means": "Front der Mittelwerte",
    "mean, 95 % interval": "Mittelwert, 95-%-Intervall",
    "first result": "erstes Ergebnis",
    "not repeated": "nicht wiederholt",
    "hypervolume (s)\nfrom ({seconds} s, 0 %)": "Hypervolumen (s)\nab ({seconds} s, 0 %)",
    "hypervolume (s)": "Hypervolumen (s)",
    "device-hours spent": "verbrauchte Gerätestunden",
    "device-minutes spent": "verbrauchte Geräteminuten",
    "mean with {share} % interval": "Mittelwert mit {share}-%-Intervall",
    "one training": "ein Training",
    "time (%)": "Zeit (%)",
    "accuracy (points)": "Genauigkeit (Punkte)",
    "accuracy (points)\nat equal time": "Genauigkeit (Punkte)\nbei gleicher Zeit",
    "share of the images (%)": "Anteil der Bilder (%)",
    "equal epochs": "gleich viele Epochen",
    "equal updates": "gleich viele Schritte",
    "gain (points)": "Gewinn (Punkte)",
    "n: trainings, each with another seed": "n: Trainings, jedes mit anderem Startwert",
    "gain: over {name} with the same images, seed by seed": (
        "Gewinn: gegenüber {name} mit denselben Bildern, Startwert für Startwert"
    ),
    "classes so far": "Klassen bisher",
    "training time so far (s)": "Trainingszeit bisher (s)",
    "training time\nso far (s)": "Trainingszeit\nbisher (s)",
    "weights × images so far (10⁹)": "Gewichte × Bilder bisher (10⁹)",
    "weights × images\nso far (10⁹)": "Gewichte × Bilder\nbisher (10⁹)",
    "tree": "Baum",
    "anew": "neu",
    "routed": "geleitet",
    "classes": "Klassen",
    "networks\ntrained": "Netze\ntrainiert",
    "one network, trained anew": "ein Netz, neu trainiert",
    "routed to the right child": "zum richtigen Kind geleitet",
    "routed: images that the root sends to the right child": (
        "geleitet: Bilder, die die Wurzel zum richtigen Kind leitet"
    ),
    "anew: one network, trained anew on all classes so far": "neu: ein Netz, mit allen Klassen bisher neu trainiert",
    "10⁹: weights × images, summed over the networks that were trained": (
        "10⁹: Gewichte × Bilder, über die trainierten Netze summiert"
    ),
    "better than its seconds": "besser als seine Sekunden",
    "worse than its seconds": "schlechter als seine Sekunden",
    "no difference to be seen": "kein Unterschied zu sehen",
    "epoch": "Epoche",
    "epochs": "Epochen",
    "channels": "Kanäle",
    "MFLOPs per image": "MFLOPs je Bild",
    "time (s)": "Zeit (s)",
    "accuracy (%)": "Genauigkeit (%)",
    "accuracy\n(%)": "Genauigkeit\n(%)",
    "time\n(s)": "Zeit\n(s)",
    "test (%)": "Test (%)",
    "validation": "Validierung",
    "number format": "Zahlenformat",
    "format": "Format",
    "batch size": "Batchgröße",
    "batch": "Batch",
    "reference batch": "Bezugsbatch",
    "reference batch size": "Bezugsbatchgröße",
    "learning rate": "Lernrate",
    "lr": "Lernrate",
    "learning rate rule": "Lernratenregel",
    "lr rule": "Lernratenregel",
    "epochs rule": "Epochenregel",
    "epoch rule": "Epochenregel",
    "augmentation": "Augmentierung",
    "weight decay": "Gewichtsabnahme",
    "decay": "Abnahme",
    "pooling": "Pooling",
    "network": "Netz",
    "schedule": "Ablauf",
    "without": "ohne",
    "seed": "Startwert",
    "interval": "Epochen zwischen Umbauten",
    "images": "Bilder",
    "train images": "Trainingsbilder",
    "share": "Anteil",
    "train share": "Anteil der Bilder",
    "image size": "Bildgröße",
    "pixels": "Pixel",
    "label smoothing": "Label Smoothing",
    "smoothing": "Glättung",
    "off": "aus",
    "on": "an",
    "plain": "schlicht",
    "all": "alle",
    "seconds": "Sekunden",
    "accuracy": "Genauigkeit",
    "The front": "Die Front",
    "Hypervolume over device time": "Hypervolumen über der Gerätezeit",
    "{front} of {trials} complete trials are on the Pareto front of training time against validation accuracy; "
    "{spent} of device time; times on {times}.": (
        "{front} von {trials} vollständigen Versuchen liegen auf der Pareto-Front von Trainingszeit und "
        "Validierungsgenauigkeit; {spent} Gerätezeit; Zeiten auf {times}."
    ),
    "Each point is a single training, not confirmed: the best of many look a little better than they are.": (
        "Jeder Punkt ist ein einzelnes Training, nicht bestätigt: Die besten von vielen sehen etwas besser aus, als "
        "sie sind."
    ),
    "The points are first results; {repeated} were trained again with other seeds, and by their means {confirmed} are "
    "on the front: see confirmed.csv.": (
        "Die Punkte sind erste Ergebnisse; {repeated} wurden mit anderen Startwerten wiederholt, und nach ihren "
        "Mittelwerten liegen {confirmed} auf der Front: siehe confirmed.csv."
    ),
    "By the times on {times}, {front} are on the front.": "Nach den Zeiten auf {times} liegen {front} auf der Front.",
    "{trials} trials were timed again on another class of device, without training, in {spent} of device time "
    "({share} %); seconds in brackets are of trials that are dominated there.": (
        "Von {trials} Versuchen wurde die Zeit auf einer anderen Geräteklasse ohne Training nachgemessen, in {spent} "
        "Gerätezeit ({share} %); Sekunden in Klammern gehören zu Versuchen, die dort dominiert sind."
    ),
    "The front of the means is partly confirmed: {count} of it not repeated yet.": (
        "Die Front der Mittelwerte ist zum Teil bestätigt: {count} auf ihr noch nicht wiederholt."
    ),
    "(seconds): dominated on that class": "(Sekunden): auf dieser Klasse dominiert",
    "(seconds): dominated on that class; a dash: no result there": (
        "(Sekunden): auf dieser Klasse dominiert; Strich: kein Ergebnis dort"
    ),
    "* disturbed while it was timed": "* bei der Zeitmessung gestört",
    "n: repeats with other seeds": "n: Wiederholungen mit anderen Startwerten",
    "±: half of the 95 % interval of the mean": "±: halbes 95-%-Intervall des Mittelwerts",
    "n = 0: a single training, without an interval": "n = 0: ein einziges Training, ohne Intervall",
    "simulated: {names}": "simuliert: {names}",
    "† simulated ({names}): the hardware is not made for it, and the seconds do not show what it saves": (
        "† simuliert ({names}): Die Hardware ist nicht dafür gemacht, und die Sekunden zeigen nicht, was es spart"
    ),
    "†: simulated ({names}); the seconds are of hardware that is not made for it, and do not show what such hardware "
    "would save.": (
        "†: simuliert ({names}); die Sekunden sind von Hardware, die nicht dafür gemacht ist, und zeigen nicht, was "
        "solche sparen würde."
    ),
    "Projected, not measured: of the multiplications of their backward passes hardware that skips zeros could leave "
    "out {shares}.": (
        "Hochgerechnet, nicht gemessen: Von den Multiplikationen ihrer Rückwärtsdurchläufe könnte Hardware, die Nullen "
        "überspringt, auslassen: {shares}."
    ),
    "clock noisy": "Uhr gestört",
    "same recipe": "gleiches Rezept",
    "dominated in one": "in einem dominiert",
    "1 CPU core": "1 CPU-Kern",
    "{count} CPU cores": "{count} CPU-Kerne",
}
