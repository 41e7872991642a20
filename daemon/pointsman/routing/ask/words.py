"""Words by which wrappers are recognized: names of tags and labels, and the vocabulary of instructions. Data.

A name is read by its words, last first: `user_query`, `userQuery` and "User's query" all end in `query`. So an unlisted
tag or label is understood if its words are. Words of scripts without spaces are found inside the name.
"""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


ASKS = {
    3: word_set(
        "question query ask asks asked utterance inquiry enquiry pregunta frage domanda pergunta vraag вопрос pytanie "
        "soru otázka spørgsmål fråga kysymys kérdés întrebare ερώτηση питання pertanyaan שאלה"
    ),
    2: word_set(
        "request message task problem prompt chatinput userinput sms know feedback followup mensaje nachricht "
        "messaggio mensagem bericht wiadomość mesaj zpráva besked meddelande viesti üzenet повідомлення сообщение "
        "запрос pesan anliegen demande solicitud verzoek"
    ),
    1: word_set(
        "instruction goal objective instruccion anweisung issue ticket requirement pr bug feature assignment exercise "
        "aufgabe tarea tâche taak compito tarefa zadanie görev задача"
    ),
    0: word_set("input text_input entrada eingabe"),
}
"""Names of parts with the ask. Of several, the highest number counts: "Question" over "Task" over "Input"."""

ASKS_INSIDE = ("質問", "问题", "問題", "提问", "질문", "سؤال", "प्रश्न", "คำถาม", "请求", "需求", "依頼", "요청")

USERS = word_set(
    "user human you customer client person caller student shopper usuario nutzer benutzer kunde kundin utilisateur "
    "utente usuário gebruiker użytkownik kullanıcı användare bruger пользователь користувач guest visitor"
)
"""Speakers whose turns contain the ask."""

ANSWERS = word_set(
    "answer response assistant ai bot completion chatgpt gpt claude gemini model agent respuesta antwort reponse "
    "réponse risposta resposta antwoord odpowiedź yanıt cevap svar vastaus válasz odpověď ответ відповідь jawaban"
)
"""Names of the model's text: after a question, they say that it is answered."""

OTHERS = word_set(
    "context contexts document documents doc docs source sources file files content contents attachment "
    "attachments attached passage passages excerpt excerpts snippet snippets chunk chunks article page pages "
    "webpage text reference references knowledge background result results data evidence note notes transcript "
    "log logs output outputs stdout stderr diff code selection selected email mail thread history conversation "
    "dialogue memory memories retrieved material materials information facts fact metadata observation "
    "observations schema table record records quote paste trajectory scratchpad previous work inventory directory "
    "structure tree prefix suffix candidates choices options parameters citations events scenario contexto "
    "kontext contesto contexte documento dokument dokumente quelle fichier archivo contenido inhalt контекст "
    "documenten kontekst kontekstur bağlam belgeler konteks dokumen konteksti dokumenty zdroje źródła "
    "fonti fuentes fontes bronnen quellen källor kilder документ документы источники джерела auszüge variables "
    "system reminder reminders environment details rule rules guidelines instructions format formatting "
    "constraint constraints style persona role tools functions permission permissions workspace editor repo "
    "repository git status info settings preferences profile example examples requirements criteria skill skills "
    "todo todos mode cwd caveat date time thinking tone language languages steps thought action location "
    "signature disclaimer tabs tab diagnostics errors warnings footer comment comments post posts updates "
    "activity timeline blockquote sheet draft codebase header headers version platform limits budget plan team "
    "documentation readme opened url title subject nodes node summary actions checks clipboard breadcrumbs stacktrace "
    "traceback exception handbook manual wiki policy glossary screenshot captions subtitles recording dump report "
    "findings bio about solution solutions"
)
"""Names of parts that are not the ask: material, and text from harnesses, editors and applications."""

OTHERS_INSIDE = word_set(
    "参考 背景 上下文 资料 知识 文档 内容 文脈 資料 文書 制約 条件 命令 出力 输出 要求 规则 "
    "문서 컨텍스트 참고 سياق संदर्भ"
)
"""The same in scripts without spaces."""

OLD = word_set("original previous existing old")
"""With one of these, an answer is material."""

OWNERS = word_set("my user user's your")
"""Words of a heading for the person's own part."""

EXACT = word_set(
    "forwarded_message original_message previous_message error_message commit_message system_message bash_input "
    "tool_input action_input tool_call question_type"
)
"""Names of material or of a harness whose last word would mislead."""

TEMPLATES = word_set(
    "answer answers answering question questions query queries context contexts respond response responses reply "
    "output format information document documents provided given below above instructions instruction json schema "
    "sources search user user's citations cite passages reference materials knowledge task prompt conversation "
    "rewrite"
)
"""Words of which each frame has at least one."""

WISHES = word_set("requirements requirement criteria steps constraints constraint example examples rules format style")
"""Names under which a person lists wishes, unless they are set off as in a template."""

LINK_WORDS = word_set(
    "a an the is are was were be as follows follow to of for from in on with and or s re m my your our their his "
    "her you i me we it its this that these those here there below above now new first next own original current "
    "latest user users final actual real following given put one step at end by before so far about working "
    "presented rephrased contextualized alternative del de la du da des personal can found retrieved available "
    "relevant expected input"
)
"""Words of a label that say nothing about its role."""

FRAMES = word_set(
    "a an the and or but if then else when where while so as at by for from in into of off on onto out over to up "
    "with without within not no nor never always only just also too very more most less least much many few any "
    "all each every some other another same such own both either neither than that this these those it its is are "
    "was were be been being am do does did done doing have has had having can could may might must shall should "
    "will would need needs i you your yours me my we us our they them their he she his her who what which whose "
    "how why there here now again still yet about above after against along among around before behind below "
    "between beyond during except near since through until upon per via s t re ve ll d m don doesn isn aren won "
    "ok okay yes please kindly thanks thank hello hi dear answer answers answered answering question questions "
    "query queries ask asks asked asking request requests reply replies respond responds response responses "
    "responding context contexts information document documents source sources text texts passage passages "
    "content contents provided provide provides given give gives giving use uses used using based follow follows "
    "following followed know knows known knowledge prior say says said saying find found word words sentence "
    "sentences paragraph paragraphs concise brief briefly short shorter long longer detail details detailed "
    "complete completely clear clearly accurate exact exactly helpful assistant ai model language user users "
    "human person people instruction instructions rule rules guideline guidelines format formats formatted output "
    "outputs json xml markdown yaml schema object objects key keys value values string strings array list lists "
    "listed item items field fields example examples begin begins start starts end ends return returns write "
    "writes written nothing anything something everything original new existing previous further additional "
    "improve refine rewrite better best well good invent make fact facts cite cites citing cited citation "
    "citations reference references number numbers numbered makes otherwise unchanged changed inline fixed tag "
    "tags think step steps first second last final finally next let prompt conversation chat message messages "
    "history task tasks tool tools result results search unknown cannot able unable simply state states show "
    "shows include includes including leave left part parts whole keep add adds side aside way thing things "
    "mention phrases speak sure unsure doubt tell tells admit relevant irrelevant maybe match matches matching "
    "conform conforms valid well-formed properties required type integer boolean null instance code block blocks "
    "fence fences plain voice tone style possible available suitable appropriate take takes account turn turns "
    "page pages material materials attached attachment attachments file files read ready note notes set get go "
    "going come comes case cases see seen like look looks help helps work works want wants wish wishes"
)
"""Words of frames of templates, which only say that there is a question, and how to answer it."""

INTERROGATIVES = word_set(
    "how what why when where which who whom whose can could should would is are do does did may might will am was "
    "were has have isn't aren't don't doesn't what's how's who's where's que qué como cómo por wie warum wer wo "
    "welche kann comment pourquoi quel quelle est come perché как что почему whats hows"
)
"""Words with which a question begins."""

IMPERATIVES = word_set(
    "write craft explain give list create make help tell show describe find fix implement build design compare "
    "calculate compute solve draft summarize summarise translate refactor review debug convert generate suggest "
    "recommend outline analyze analyse provide develop add change update rename remove discuss define prove "
    "derive evaluate identify name plan optimize optimise improve check compose rewrite rephrase simplify extract "
    "classify sort walk teach propose prepare produce formulate configure set determine estimate advise expand "
    "code test complete continue imagine assume act"
)
"""Words with which an instruction begins."""

NOUNS = word_set(
    "design review plan test code list draft update change check set sort work name label answer question report help "
    "show walk model program edit polish"
)
"""Verbs that are nouns, too, as at the beginning of a title."""

TRANSFORMS = word_set(
    "summarize summarise translate rewrite rephrase paraphrase proofread classify categorize categorise extract "
    "shorten condense label transcribe simplify correct edit polish tldr tl;dr"
)
"""Instructions that decide by themselves, whatever text they apply to."""

RENDERS = word_set("translate rewrite rephrase paraphrase proofread transcribe")
DIGESTS = word_set("summarize summarise classify categorize categorise extract shorten condense")
"""Those of them that count in the same line before a text, however short.

"Edit: ...", "Correct me if ...: ..." and "Simplify: ..." do not. A text to summarize may be the person's question, a
text to translate is material.
"""

TASKS = TRANSFORMS - {"correct", "label", "edit", "polish"} | word_set(
    "summary synopsis gist translation title headline keywords tags sentiment spelling grammar typos"
)
"""Words of a question that is a task on any text; "is this correct?" is not, so its words are left out."""

VERBS = INTERROGATIVES | IMPERATIVES | TRANSFORMS

FUNCTION = word_set(
    "the a an to of is are in and on how what do does i my for can it with be was that this not as or if at by"
)
"""Function words of English."""

ENGLISH = word_set(
    "the of is are and how what does my with be this if by not to for which when where should would can from that you"
)
"""Those of them that no neighboring language has."""

NOT_ENGLISH = word_set(
    "die der das und auf nicht ist eine le les et est une pour dans el los las una por para que il che per non het een "
    "van och att det som jest nie oraz sie bir ve"
)
"""Words of other languages in Latin letters."""

PERSONAL = word_set("i i'm i've i'd i'll im ive my me mine we our us we're")
"""Words with which people speak about themselves."""

OWN = word_set("my mine")
"""Those of them that no template uses for inserted text."""

POINTERS = word_set("this that it these those above below following here error code")
"""Words by which a question refers to something that it does not state."""

PRONOUNS = word_set("he she they them him her his their its")
"""Words for somebody named elsewhere."""

COURTESIES = word_set("please hi hello hey ok okay so and but also well now then dear thanks kindly just")
"""Words that may precede a question or an instruction."""

HTML = word_set(
    "a abbr article aside b blockquote body br button canvas caption code col dd div dl dt em fieldset figure footer "
    "form h1 h2 h3 h4 h5 h6 head header hr html i iframe img label legend li link main meta nav ol optgroup option p "
    "path pre script section select small span strong style sub sup svg table tbody td textarea tfoot th thead title "
    "tr u ul video"
)
"""Elements of HTML, which are not wrappers unless their name says so."""
